"""What is declared: the topology of the cluster, the agents' own files, and how they are read."""
