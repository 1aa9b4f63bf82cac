from retouch_export.command import export

export(prog_name="retouch export")
