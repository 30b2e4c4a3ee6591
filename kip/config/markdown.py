"""The settings table for people to read."""

from kip.config.table import SETTINGS, Setting


def settings_as_markdown() -> str:
    """Return the table of all settings in Markdown, with a final newline."""
    rows = [("Key", "Default", "Values", "Meaning"), ("---",) * 4, *map(_row, SETTINGS)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _row(setting: Setting) -> tuple[str, str, str, str]:
    default = f"`{setting.default}`" if setting.default else "*required*" if setting.required else ""
    values = f"{setting.kind}, in {setting.unit}" if setting.unit else setting.kind
    return f"`{setting.key}`", default, _escaped(values), _escaped(setting.help)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")
