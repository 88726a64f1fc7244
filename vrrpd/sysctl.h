/*
 * sysctl.h - /proc/sys/net values that we change, and their way back.
 *
 * The value found before the first change is saved, in memory and in the file "sysctl"
 * of the state directory, so that the next life can put it back when this one is
 * killed.
 *
 * Names    relative to /proc/sys/net: "ipv4/conf/wan0/arp_ignore". The calling
 * process's network namespace applies. Rights   CAP_NET_ADMIN. Errors   negative errno;
 * -ENOENT: this kernel does not have it.
 */
#ifndef TANDEM_VRRPD_SYSCTL_H
#define TANDEM_VRRPD_SYSCTL_H

struct sysctl_store;

/* Reads what an earlier life saved. state_dir is borrowed; -1 = no file. */
int sysctl_open(int state_dir, struct sysctl_store **ret_store);
void sysctl_free(struct sysctl_store *store); /* does not restore */

int sysctl_read(const char *name, long *ret_value);
int sysctl_write(const char *name, long value);
/* Writes only what differs; saves the value found if it is not saved yet. */
int sysctl_change(struct sysctl_store *store, const char *name, long value);
/* Puts every saved value back and removes the file. A name that no longer exists is
 * done. */
void sysctl_restore(struct sysctl_store *store);

#endif
