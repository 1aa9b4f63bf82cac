from export.command import export

export(prog_name="python -m export")
