"""What every finding about pictures means and what to do about it: said once, here. The report uses these words, and
`kohya_presets/DATASET.md` is made of them (`vestige lora dataset-guide`)."""

from dataclasses import dataclass

from server.training.findings import Severity

__all__ = ["KINDS", "Word", "guide"]


@dataclass(frozen=True, slots=True)
class Word:
    """One kind of finding. `short` heads it in the report; `why` and `do` are for whoever asks."""

    severity: Severity
    short: str
    why: str
    do: str


KINDS: dict[str, Word] = {
    # how many, and where
    "few": Word(
        "warning",
        "Fewer than 15 pictures",
        "From few pictures the LoRA learns the pictures, not the person: pose and background come along.",
        "Have 15 to 30 that differ in pose, framing, light and clothes.",
    ),
    "many": Word(
        "warning",
        "More than 30 pictures",
        "More pictures help only where they add something; the weak ones pull the face towards an average.",
        "Keep the 15 to 30 best.",
    ),
    "no_repeats": Word(
        "error",
        "A folder without a number",
        "The trainer reads folders called N_name, each picture N times an epoch, and passes over all others.",
        "Call it 10_name.",
    ),
    "loose_pictures": Word(
        "error",
        "Pictures outside of any folder",
        "The trainer is given the parent of the N_name folders; pictures in the parent itself are not seen.",
        "Move them into 10_name, or name the parent.",
    ),
    "empty_folder": Word("error", "An empty folder", "It adds nothing.", "Fill it or delete it."),
    "no_folders": Word(
        "error",
        "No folder of pictures",
        "There is nothing to train on.",
        "Put the pictures into a folder such as 10_name.",
    ),
    "inner_folder": Word(
        "warning", "A folder within a folder", "The trainer does not look inside.", "Move its pictures one level up."
    ),
    "other_kind": Word(
        "warning",
        "A kind of file the trainer does not open",
        "It is passed over without a word.",
        "Save it as PNG (nothing is lost) or JPEG.",
    ),
    # the picture itself
    "damaged": Word(
        "error", "A damaged picture", "The run ends where it is reached.", "Save it again, or leave it out."
    ),
    "animated": Word("warning", "An animation", "Only its first frame is seen.", "Save the frame you mean as PNG."),
    "tiny": Word(
        "error",
        "Too small to learn from",
        "It is enlarged more than twice, and the blur is learnt as if it were the person.",
        "Find a larger original; do not enlarge it yourself.",
    ),
    "small": Word(
        "warning",
        "Smaller than it is trained at",
        "It is enlarged to fill its bucket: fine detail is made up.",
        "Prefer originals of a megapixel and more.",
    ),
    "blurred": Word(
        "warning",
        "Blurred",
        "The LoRA learns softness along with the face.",
        "Leave it out, unless the background alone is soft.",
    ),
    "transparent": Word(
        "warning",
        "Transparent parts",
        "The trainer drops transparency, and whatever colour lies beneath, often black, is learnt.",
        "Put it on a plain background, or train with alpha_mask = true.",
    ),
    "rotated": Word(
        "error",
        "Turned by a note in the file",
        "The trainer does not read EXIF: what you see upright is trained lying on its side.",
        "Save it upright (--fix does, without loss).",
    ),
    "cut": Word(
        "warning",
        "Much is cut off",
        "No bucket has its shape, so more than a tenth is cropped, at the edges: heads and feet.",
        "Crop it yourself to a shape between 1:2 and 2:1.",
    ),
    # pictures together
    "same": Word(
        "warning",
        "Nearly the same picture",
        "It counts twice, and what is in it is learnt twice as strongly.",
        "Keep the better one.",
    ),
    "same_angle": Word(
        "warning",
        "Many from the same angle",
        "Where most pictures share one pose, the LoRA can only do that pose.",
        "Replace some by other angles: front, three-quarter, profile, from behind.",
    ),
    "no_faces": Word(
        "warning",
        "No close pictures of the face",
        "A face that fills a tenth of the picture is learnt as a blur.",
        "Let a third to half of the pictures show face and shoulders.",
    ),
    "no_bodies": Word(
        "warning",
        "No full figure",
        "Whoever was only seen close up grows a body of the base model's choice, and outfits are shown on it.",
        "Let at least a fifth of the pictures show the whole figure.",
    ),
    "lone_bucket": Word(
        "note",
        "A bucket with fewer pictures than a batch",
        "Its batches stay half empty, and its pictures weigh more.",
        "Crop to shapes that others have, or train with a batch size of 1.",
    ),
    # captions
    "no_caption": Word(
        "error",
        "No caption",
        "The folder's name is learnt in its place, with everything there is to see: background and clothes become "
        "part of the character.",
        "Write what may change from picture to picture: clothes, pose, place, light, framing.",
    ),
    "empty_caption": Word("error", "An empty caption", "The trainer stops at an empty file.", "Fill it."),
    "not_utf8": Word("error", "A caption that is not UTF-8", "The trainer stops at it.", "Save it as UTF-8."),
    "more_lines": Word(
        "warning",
        "A caption of several lines",
        "The trainer reads the first line alone.",
        "Put everything into one line (--fix joins them).",
    ),
    "named": Word(
        "error",
        "The caption names the character",
        "Prompts here describe scene and composition and never the name, so what is tied to the name is missing. The "
        "LoRA alone has to carry the face.",
        "Take the name out.",
    ),
    "identity": Word(
        "warning",
        "A word that is in nearly every caption",
        "What is always said is tied to that word, not to the LoRA: without it in a prompt, hair, eyes or face fade.",
        "Leave out of the captions what never changes; keep what does.",
    ),
    "long_caption": Word(
        "warning",
        "A caption longer than the encoder reads",
        "CLIP reads 75 tokens, and the rest is cut off unless max_token_length says 150 or 225.",
        "Shorten it.",
    ),
    # rights
    "no_source": Word(
        "warning",
        "Nobody wrote down where it is from",
        "Sooner or later somebody asks whether this face may be used.",
        "Keep a sources.csv beside the folders: file,source,licence,note.",
    ),
    "unknown_source": Word(
        "note", "A source for a file that is not there", "It was renamed or left out.", "Correct sources.csv."
    ),
}


def guide() -> str:
    """`kohya_presets/DATASET.md`: how to choose and caption pictures."""
    lines = [
        "# The pictures",
        "",
        "This page is made of the words that `vestige lora check-dataset` uses, so it says what the check says. Write",
        "captions of what may change (clothes, pose, place, light, framing) and leave out what makes the character:",
        "the LoRA carries the face, and prompts here never name anyone.",
        "",
        "```",
        "pictures/",
        "  10_halina/            each picture is seen 10 times in an epoch",
        "    001.png  001.txt    a full body, standing in a garden, summer dress, soft light",
        "    002.png  002.txt    close-up, looking to the left, grey pullover, window light",
        "  sources.csv           file,source,licence,note",
        "```",
        "",
    ]
    for title, severity in (("Stops a run, or spoils it", "error"), ("Worth a look", "warning"), ("To know", "note")):
        lines += [f"## {title}", ""]
        lines += [f"* **{one.short}.** {one.why} {one.do}" for one in KINDS.values() if one.severity == severity]
        lines.append("")
    return "\n".join(lines)
