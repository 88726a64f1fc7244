/* interface_view.c - the part of an interface that one virtual router serves. */
#include <stdlib.h>
#include "vrrpd/daemon.h"

bool
interface_has_family(const struct td_interface *interface, uint8_t family)
{
	for (uint32_t i = 0; i < interface->address_count; i++)
		if (interface->addresses[i].addr.family == family)
			return true;
	return false;
}

struct td_interface *
interface_view_new(const struct td_interface *interface, uint8_t family)
{
	struct td_interface *view = calloc(1, sizeof(*view));

	if (view == NULL)
		return NULL;
	*view = *interface;
	view->address_count = view->route_count = 0;
	view->addresses =
	    calloc(interface->address_count + 1, sizeof(*view->addresses));
	view->routes = calloc(interface->route_count + 1, sizeof(*view->routes));
	if (view->addresses == NULL || view->routes == NULL) {
		interface_view_free(view);
		return NULL;
	}
	for (uint32_t i = 0; i < interface->address_count; i++)
		if (family == 0 || interface->addresses[i].addr.family == family)
			view->addresses[view->address_count++] =
			    interface->addresses[i];
	for (uint32_t i = 0; i < interface->route_count; i++)
		if (family == 0 ||
		    interface->routes[i].destination.addr.family == family)
			view->routes[view->route_count++] = interface->routes[i];
	return view;
}

void
interface_view_free(struct td_interface *view)
{
	if (view == NULL)
		return;
	free(view->addresses);
	free(view->routes);
	free(view);
}
