from retouch_clients.command import main

main()
