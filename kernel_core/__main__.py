from kernel_core.cli import main

main()
