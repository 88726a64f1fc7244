"""The lab: one router pair, its clients and servers as network namespaces of this host."""
