/* Any bytes as an IPv4 packet: what is accepted must encode to the same meaning. */
#include <string.h>
#include <tandem/assert.h>
#include "vrrpd/core/vrrp_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The checksums are right by luck only: half of the inputs get them made right. */
static void
repair(uint8_t *packet, size_t size)
{
	size_t header = (size_t)(packet[0] & 0x0f) * 4;

	for (unsigned pass = 0; pass < 2; pass++) {
		size_t from = pass == 0 ? 0 : header;
		size_t len = pass == 0 ? header : size - header;
		size_t at = pass == 0 ? 10 : header + 6;
		uint32_t sum = 0;

		packet[at] = packet[at + 1] = 0;
		for (size_t i = 0; i + 1 < len; i += 2)
			sum += (uint32_t)(packet[from + i] << 8 | packet[from + i + 1]);
		while (sum >> 16 != 0)
			sum = (sum & 0xffff) + (sum >> 16);
		packet[at] = (uint8_t)(~sum >> 8);
		packet[at + 1] = (uint8_t)~sum;
	}
}

static void
round_trip(const struct vrrp_advert *advert, const struct td_addr *source)
{
	struct td_addr group = vrrp_group(TD_AF_INET);
	uint8_t frame[VRRP_FRAME_BYTES_MAX], mac[6];
	struct vrrp_accept accept = { .vrid = advert->vrid };
	struct vrrp_advert back;
	struct td_addr back_source;
	size_t len;

	vrrp_virtual_mac(TD_AF_INET, advert->vrid, mac);
	len = vrrp_frame_encode(
	    advert, mac, vrrp_group_mac_v4, source, &group, frame, sizeof(frame));
	td_assert(len > ETHER_HEADER_BYTES);
	td_assert(vrrp_receive(frame + ETHER_HEADER_BYTES, len - ETHER_HEADER_BYTES,
		      &accept, &back, &back_source) == VRRP_OK);
	td_assert(back.vrid == advert->vrid && back.priority == advert->priority);
	td_assert(back.max_adver_interval_ns == advert->max_adver_interval_ns);
	td_assert(back.address_count == advert->address_count);
	td_assert(
	    memcmp(back.addresses, advert->addresses, advert->address_count * 4u) == 0);
	td_assert(memcmp(&back_source, source, sizeof(back_source)) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct td_addr own6 = { TD_AF_INET6, { 0xfe, 0x80, [15] = 1 } };
	uint8_t packet[2048];
	struct vrrp_accept accept = { 0 };
	struct vrrp_advert advert;
	struct td_addr source, group6 = vrrp_group(TD_AF_INET6);

	if (size == 0 || size > sizeof(packet))
		return 0;
	memcpy(packet, data, size);
	(void)vrrp_advert_decode(packet, size, &own6, &group6, &advert);
	if ((packet[size - 1] & 1) != 0 && size >= 28 && (packet[0] & 0x0f) >= 5 &&
	    (size_t)(packet[0] & 0x0f) * 4 + 8 <= size)
		repair(packet, size);
	accept.vrid = size >= 22 ? packet[21] : 1;
	accept.unicast = (packet[size - 1] & 2) != 0;
	if (vrrp_receive(packet, size, &accept, &advert, &source) == VRRP_OK)
		round_trip(&advert, &source);
	return 0;
}
