from kernel_core.cli.main import main

main()
