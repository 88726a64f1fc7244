/* Any bytes as an IP packet, of either family and version: what is accepted must encode
 * to the same meaning. The last byte chooses. */
#include <string.h>
#include <tandem/assert.h>
#include <tandem/instant.h>
#include "vrrpd/core/vrrp_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t
add(uint32_t sum, const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)(bytes[i] << 8 | bytes[i + 1]);
	return sum;
}

static void
put(uint8_t *at, uint32_t sum)
{
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	at[0] = (uint8_t)(~sum >> 8);
	at[1] = (uint8_t)~sum;
}

/* The checksums are right by luck only: half of the inputs get them made right, if the
 * message fills the packet. */
static void
repair4(uint8_t *packet, size_t size)
{
	size_t header = (size_t)(packet[0] & 0x0f) * 4;

	if (size < 28 || header < 20 || header + 8 > size)
		return;
	memset(packet + 10, 0, 2);
	put(packet + 10, add(0, packet, header));
	memset(packet + header + 6, 0, 2);
	put(packet + header + 6, add(0, packet + header, size - header));
}

static void
repair6(uint8_t *packet, size_t size)
{
	if (size < 48)
		return;
	memset(packet + 46, 0, 2);
	put(packet + 46, add(112 + (uint32_t)size - 40, packet + 8, 32) +
			     add(0, packet + 40, size - 40));
}

static void
round_trip(const struct vrrp_advert *advert, const struct td_addr *source)
{
	uint8_t frame[ETHER_HEADER_BYTES + IPV6_HEADER_BYTES + VRRP_HEADER_BYTES +
		      VRRP_ADDRESSES_MAX * 16];
	struct vrrp_accept accept = { .version = advert->version,
		.family = advert->family,
		.vrid = advert->vrid,
		.interval_ns = advert->max_adver_interval_ns };
	struct vrrp_advert back;
	struct td_addr back_source;
	size_t len, each = advert->family == TD_AF_INET6 ? 16 : 4;
	uint8_t mac[6];

	vrrp_virtual_mac(advert->family, advert->vrid, mac);
	len = vrrp_frame_encode(advert, mac, source, frame, sizeof(frame));
	td_assert(len > ETHER_HEADER_BYTES);
	td_assert(vrrp_receive(frame + ETHER_HEADER_BYTES, len - ETHER_HEADER_BYTES,
		      &accept, &back, &back_source) == VRRP_OK);
	td_assert(back.vrid == advert->vrid && back.priority == advert->priority);
	td_assert(back.max_adver_interval_ns == advert->max_adver_interval_ns);
	td_assert(back.address_count == advert->address_count);
	td_assert(memcmp(back.addresses, advert->addresses,
		      advert->address_count * each) == 0);
	td_assert(memcmp(&back_source, source, sizeof(back_source)) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t packet[2048], choice;
	struct vrrp_accept accept = { .version = VRRP_VERSION, .family = TD_AF_INET };
	struct vrrp_advert advert;
	struct td_addr source;
	size_t vrid;

	if (size == 0 || size > sizeof(packet))
		return 0;
	memcpy(packet, data, size);
	choice = packet[size - 1];
	if ((choice & 4) != 0)
		accept.family = TD_AF_INET6;
	else if ((choice & 8) != 0)
		accept.version = VRRP_VERSION_2;
	if ((choice & 1) != 0 && accept.family == TD_AF_INET)
		repair4(packet, size);
	else if ((choice & 1) != 0)
		repair6(packet, size);
	vrid = accept.family == TD_AF_INET6 ? 41 : 21;
	accept.vrid = size > vrid ? packet[vrid] : 1;
	accept.interval_ns = size > 25 ? packet[25] * NS_PER_S : 0;
	accept.unicast = (choice & 2) != 0;
	if (vrrp_receive(packet, size, &accept, &advert, &source) == VRRP_OK)
		round_trip(&advert, &source);
	return 0;
}
