from clients.command import main

main()
