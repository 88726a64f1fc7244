# The conntrack side: ctnetlink events, dumps, injection, settings.
td_shell(sync_ct ct_wire.c ct_filter.c ct_socket.c ct_events.c ct_dump.c ct_inject.c
  ct_grace.c ct_sysctl.c)
target_link_libraries(sync_ct PUBLIC sync_core PRIVATE PkgConfig::LIBMNL)
