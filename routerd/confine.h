/*
 * confine.h - an empty root for processes that need no file any more.
 *
 * Without capabilities nobody can chroot; Landlock gives the same to anyone: afterwards
 * no file can be opened, made or executed and no TCP port bound or connected, for this
 * process and its children, for good. Descriptors that are open stay usable.
 *
 * Errors   -EOPNOTSUPP, -ENOSYS: the kernel has no Landlock; others negative errno.
 */
#ifndef TANDEM_ROUTERD_CONFINE_H
#define TANDEM_ROUTERD_CONFINE_H

int confine_self(void);

#endif
