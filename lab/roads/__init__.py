"""The network between the places of the lab: proxies or namespaces, delayed and cut."""
