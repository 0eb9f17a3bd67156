// What can be done with a conversation as a whole.

import { confirmDialog } from "../dialog.js";
import { saveFile } from "../dom.js";
import { menuButton } from "../menu.js";
import { attempt, toast } from "../toast.js";

/** @param {import("./view.js").ChatView} view */
export function chatMenu(view) {
  const { app } = view;
  return menuButton({
    label: "Conversation",
    items: () => {
      const { conversation } = view;
      if (!conversation) return [];
      const { character } = conversation;
      return [
        { label: character.editable ? "Edit the character" : "See the character", icon: "edit", run: () => app.router.go({ view: "edit", id: character.id }) },
        {
          label: "Save the conversation", icon: "download",
          run: () => void attempt(async () => {
            const { blob, name } = await app.api.exportChat(conversation.id);
            saveFile(blob, name);
          }),
        },
        {
          label: "Start over", icon: "restart", danger: true,
          run: () => void confirmDialog({
            title: `Start over with ${character.name}?`,
            text: "What you said to each other is deleted, with everything remembered of it; only the pins you wrote yourself stay. This cannot be undone.",
            confirm: "Start over",
            run: async () => {
              await conversation.reset();
              toast("A new beginning.");
            },
          }),
        },
      ];
    },
  });
}
