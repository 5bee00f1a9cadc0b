"""The local control socket: how a command reaches the box that runs, instead of opening its data a second time."""
