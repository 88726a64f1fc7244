/*
 * mark.h - who owns which bits of the packet mark and the conntrack mark.
 *
 * Every rule and every program masks with its own range; nobody writes a whole mark.
 *
 *   31      24 23           12 11                    0
 *   +---------+---------------+-----------------------+
 *   |  user   | routing table | load-balancing server |
 *   +---------+---------------+-----------------------+
 *
 * server   0 = not balanced; 1..4094 = server slot chosen by the scheduler; 4095 = chosen to
 *          drop (no server up, or over a limit). Slots are not reused while an entry carries
 *          them.
 * routing  policy routes per public interface.
 * user     never read or written by Tandem, replicated as it is.
 */
#ifndef TANDEM_MARK_H
#define TANDEM_MARK_H

#define TD_MARK_SERVER_MASK 0x00000fffU
#define TD_MARK_SERVER_MAX 4094U
#define TD_MARK_SERVER_DROP 4095U
#define TD_MARK_ROUTE_MASK 0x00fff000U
#define TD_MARK_ROUTE_SHIFT 12
#define TD_MARK_USER_MASK 0xff000000U

#endif
