from pages.ui import shell

shell.run()
