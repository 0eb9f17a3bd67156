"""`vestige lora`: the LoRAs of characters."""

import typer

lora = typer.Typer(help="Character LoRAs: check, keep, compare, and choose which one is worn.", no_args_is_help=True)
