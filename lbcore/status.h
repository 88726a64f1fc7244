/* status.h - the samples of lbd: what metrics, `tandemctl lb` and `tandemctl nat` show.
 */
#ifndef TANDEM_LBCORE_STATUS_H
#define TANDEM_LBCORE_STATUS_H

struct engine;
struct room_status;

void lbd_status_lb(struct engine *engine, struct room_status *st);
void lbd_status_nat(struct engine *engine, struct room_status *st);

#endif
