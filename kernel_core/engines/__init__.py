"""Where pieces of work are done: by the threads of this machine, or by a Ray cluster."""
