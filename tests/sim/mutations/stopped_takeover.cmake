# A takeover that was stopped on its way opens the fence all the same.
set(FILE vrrpd/core/node.h)
set(OLD [==[#define NODE_FRESH_NS (2 * NS_PER_MS)]==])
set(NEW [==[#define NODE_FRESH_NS (1000 * NS_PER_S)]==])
set(COMPILE vrrpd/core/node.c)
