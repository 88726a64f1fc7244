#include <tandem/room.h>

const char *
td_room_name(enum td_room room)
{
	switch (room) {
	case TD_ROOM_TANDEMD:
		return "tandemd";
	case TD_ROOM_VRRPD:
		return "vrrpd";
	case TD_ROOM_SYNCD:
		return "syncd";
	case TD_ROOM_LBD:
		return "lbd";
	case TD_ROOM_CHECKD:
		return "checkd";
	case TD_ROOM_MGMTD:
		return "mgmtd";
	case TD_ROOM_HOOKD:
		return "hookd";
	case TD_ROOM_COUNT:
		break;
	}
	return "?";
}

const char *
td_role_name(enum td_role role)
{
	switch (role) {
	case TD_ROLE_INITIALIZE:
		return "Initialize";
	case TD_ROLE_BACKUP:
		return "Backup";
	case TD_ROLE_ACTIVE:
		return "Active";
	}
	return "?";
}
