/*
 * epoch_file.h - the highest epoch this node's stream ever had, on disk.
 *
 * Shapes   file "epoch" in the state directory: a decimal number and a newline. Written
 * as a new file that replaces the old one, with both file and directory synced: when
 *          epoch_file_write has returned 0, a power cut does not bring the old one
 * back. Errors   negative errno. -EBADMSG: the file holds something else.
 */
#ifndef TANDEM_SYNCD_EPOCH_FILE_H
#define TANDEM_SYNCD_EPOCH_FILE_H

#include <stdint.h>

/* 0 and *ret_epoch = 0 if there is no file yet. */
int epoch_file_read(int directory_fd, uint64_t *ret_epoch);
int epoch_file_write(int directory_fd, uint64_t epoch);

#endif
