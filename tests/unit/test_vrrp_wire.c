/*
 * Advertisements against bytes that others made, and the receive rules one by one.
 *
 * The captured frames are MikroTik's, from tcpdump's tests/vrrp.pcap; two checksums are
 * those of scapy's test/scapy/layers/vrrp.uts. Our own encoder proves nothing about
 * them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>
#include <tandem/instant.h>
#include "vrrpd/core/vrrp_wire.h"

/* 10.0.0.91 > 224.0.0.18 vrid 44 prio 191 10 s, two addresses, padded to 60 bytes. */
static const uint8_t captured_v3[60] = { 0x01, 0x00, 0x5e, 0x00, 0x00, 0x12, 0x00, 0x00,
	0x5e, 0x00, 0x01, 0x2c, 0x08, 0x00, 0x45, 0x00, 0x00, 0x24, 0x12, 0x34, 0x00,
	0x00, 0xff, 0x70, 0xbe, 0xc8, 0x0a, 0x00, 0x00, 0x5b, 0xe0, 0x00, 0x00, 0x12,
	0x31, 0x2c, 0xbf, 0x02, 0x03, 0xe8, 0xb3, 0xc6, 0x0a, 0x04, 0x2c, 0x64, 0x0a,
	0x04, 0x2c, 0xc8 };

/* The same router's version 2 with a password: not ours to obey. */
static const uint8_t captured_v2[62] = { 0x01, 0x00, 0x5e, 0x00, 0x00, 0x12, 0x00, 0x00,
	0x5e, 0x00, 0x01, 0x2a, 0x08, 0x00, 0x45, 0x00, 0x00, 0x30, 0x12, 0x34, 0x00,
	0x00, 0xff, 0x70, 0xbe, 0xbc, 0x0a, 0x00, 0x00, 0x5b, 0xe0, 0x00, 0x00, 0x12,
	0x21, 0x2a, 0xbf, 0x03, 0x01, 0x0a, 0xf1, 0x1f, 0x0a, 0x04, 0x2a, 0x01, 0x0a,
	0x04, 0x2a, 0x02, 0x0a, 0x04, 0x2a, 0x03, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66,
	0x67, 0x68 };

/* fe80::d6ca:6dff:fe66:cf60 > ff02::12 vrid 45 prio 191, link-local address first. */
static const uint8_t captured_v3_ipv6[40] = { 0x31, 0x2d, 0xbf, 0x02, 0x03, 0xe8, 0xcf,
	0xa0, 0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0x02, 0x00, 0x5e, 0xff, 0xfe, 0x00, 0x02,
	0x2d, 0x20, 0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xab, 0xcd, 0x00, 0x0a };
static const struct td_addr captured_v6_source = { TD_AF_INET6,
	{ 0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0xd6, 0xca, 0x6d, 0xff, 0xfe, 0x66, 0xcf,
	    0x60 } };

/* The same router's version 2 without a password: vrid 43 prio 191 10 s, one address.
 */
static const uint8_t captured_v2_plain[46] = { 0x45, 0x00, 0x00, 0x28, 0x12, 0x34, 0x00,
	0x00, 0xff, 0x70, 0xbe, 0xc4, 0x0a, 0x00, 0x00, 0x5b, 0xe0, 0x00, 0x00, 0x12,
	0x21, 0x2b, 0xbf, 0x01, 0x00, 0x0a, 0xea, 0x2e, 0x0a, 0x04, 0x2b, 0x96 };

static struct td_addr
ipv4(uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
	return (struct td_addr){ TD_AF_INET, { a, b, c, d } };
}

static const struct vrrp_accept multicast_44 = {
	.version = VRRP_VERSION, .family = TD_AF_INET, .vrid = 44
};

static void
test_captured_multicast_frame_is_accepted(void **context)
{
	struct vrrp_advert advert;
	struct td_addr source, want = ipv4(10, 0, 0, 91);

	(void)context;
	assert_int_equal(vrrp_receive(captured_v3 + 14, sizeof(captured_v3) - 14,
			     &multicast_44, &advert, &source),
	    VRRP_OK);
	assert_memory_equal(&source, &want, sizeof(want));
	assert_int_equal(advert.vrid, 44);
	assert_int_equal(advert.priority, 191);
	assert_int_equal(advert.max_adver_interval_ns, 10 * NS_PER_S);
	assert_int_equal(advert.checksum, VRRP_CHECKSUM_PSEUDO_HEADER);
	assert_int_equal(advert.address_count, 2);
	assert_memory_equal(advert.addresses, "\x0a\x04\x2c\x64\x0a\x04\x2c\xc8", 8);
}

static void
test_captured_ipv6_message_is_accepted(void **context)
{
	struct vrrp_advert advert;
	struct td_addr group = vrrp_group(TD_AF_INET6);

	(void)context;
	assert_int_equal(
	    vrrp_advert_decode(VRRP_VERSION, captured_v3_ipv6, sizeof(captured_v3_ipv6),
		&captured_v6_source, &group, &advert),
	    VRRP_OK);
	assert_int_equal(advert.family, TD_AF_INET6);
	assert_int_equal(advert.address_count, 2);
}

static void
test_captured_version_2_is_refused_by_version(void **context)
{
	struct vrrp_accept accept = multicast_44;
	struct vrrp_advert advert;
	struct td_addr source;

	(void)context;
	accept.vrid = 42;
	assert_int_equal(vrrp_receive(captured_v2 + 14, sizeof(captured_v2) - 14,
			     &accept, &advert, &source),
	    VRRP_DROP_VERSION);
	assert_int_equal(source.bytes[3], 91);
}

static void
test_encoder_makes_the_captured_frame(void **context)
{
	static const uint8_t addresses[] = { 10, 4, 44, 100, 10, 4, 44, 200 };
	struct vrrp_advert advert = { VRRP_VERSION, TD_AF_INET, 44, 191, 10 * NS_PER_S,
		VRRP_CHECKSUM_PSEUDO_HEADER, 2, addresses };
	struct td_addr source = ipv4(10, 0, 0, 91);
	uint8_t mac[6], frame[VRRP_FRAME_BYTES_MAX];
	size_t len;

	(void)context;
	vrrp_virtual_mac(TD_AF_INET, 44, mac);
	len = vrrp_frame_encode(&advert, mac, &source, frame, sizeof(frame));
	assert_int_equal(len, 50);
	assert_memory_equal(frame, captured_v3, 14);
	/* Type of service, identification and their checksum are the sender's choice.
	 */
	assert_memory_equal(frame + 26, captured_v3 + 26, len - 26);
}

static void
test_checksums_of_scapy(void **context)
{
	static const uint8_t v4[] = { 20, 0, 1, 2, 20, 0, 1, 3 };
	static const uint8_t v6[32] = { 0x20, 0x01, 0x0d, 0xb8, [15] = 2, [16] = 0x20,
		0x01, 0x0d, 0xb8, [31] = 3 };
	struct vrrp_advert advert = { VRRP_VERSION, TD_AF_INET, 2, 254, 1 * NS_PER_CS,
		VRRP_CHECKSUM_PSEUDO_HEADER, 2, v4 };
	struct td_addr source = ipv4(20, 0, 0, 3), group = vrrp_group(TD_AF_INET);
	uint8_t buf[64];

	(void)context;
	assert_int_equal(
	    vrrp_advert_encode(&advert, &source, &group, buf, sizeof(buf)), 16);
	assert_memory_equal(buf + 6, "\xb2\x5e", 2);

	advert.family = TD_AF_INET6;
	advert.addresses = v6;
	source = (struct td_addr){ TD_AF_INET6, { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 } };
	group = vrrp_group(TD_AF_INET6);
	assert_int_equal(
	    vrrp_advert_encode(&advert, &source, &group, buf, sizeof(buf)), 40);
	assert_memory_equal(buf + 6, "\x48\x1b", 2);
	/* The sum is right, and yet erratum 8300 wants a link-local address first. */
	assert_int_equal(
	    vrrp_advert_decode(VRRP_VERSION, buf, 40, &source, &group, &advert),
	    VRRP_DROP_LINK_LOCAL);
}

static void
test_both_checksum_forms_are_accepted_and_told_apart(void **context)
{
	static const uint8_t addresses[] = { 192, 0, 2, 1 };
	struct td_addr source = ipv4(192, 0, 2, 2), group = vrrp_group(TD_AF_INET);
	struct vrrp_advert advert = { VRRP_VERSION, TD_AF_INET, 7, 100, 1 * NS_PER_S,
		VRRP_CHECKSUM_MESSAGE_ONLY, 1, addresses };
	/* By hand: ~(3107 + 6401 + 0064 + c000 + 0201) with carries. */
	uint32_t sum = 0x3107 + 0x6401 + 0x0064 + 0xc000 + 0x0201;
	struct vrrp_advert back;
	uint8_t buf[16];

	(void)context;
	sum = (sum & 0xffff) + (sum >> 16);
	assert_int_equal(
	    vrrp_advert_encode(&advert, &source, &group, buf, sizeof(buf)), 12);
	assert_int_equal(buf[6] << 8 | buf[7], ~sum & 0xffff);
	assert_int_equal(
	    vrrp_advert_decode(VRRP_VERSION, buf, 12, &source, &group, &back), VRRP_OK);
	assert_int_equal(back.checksum, VRRP_CHECKSUM_MESSAGE_ONLY);
	advert.checksum = VRRP_CHECKSUM_PSEUDO_HEADER;
	vrrp_advert_encode(&advert, &source, &group, buf, sizeof(buf));
	assert_int_equal(
	    vrrp_advert_decode(VRRP_VERSION, buf, 12, &source, &group, &back), VRRP_OK);
	assert_int_equal(back.checksum, VRRP_CHECKSUM_PSEUDO_HEADER);
}

/* One byte of a sound packet is changed; both sums are made right again unless the row
 * is about them. */
struct negative {
	const char *name;
	size_t offset; /* in the IP packet */
	uint8_t value;
	bool keep_ip_sum, keep_sum;
	enum vrrp_drop want;
};

static const struct negative negatives[] = {
	{ "untouched", 0, 0x45, false, false, VRRP_OK },
	{ "TTL 254: it crossed a router", 8, 254, false, false, VRRP_DROP_TTL },
	{ "IP version 5", 0, 0x55, false, false, VRRP_DROP_IP_HEADER },
	{ "IP header of 16 bytes", 0, 0x44, false, false, VRRP_DROP_IP_HEADER },
	{ "IP header longer than the packet", 0, 0x4f, false, false,
	    VRRP_DROP_IP_HEADER },
	{ "total length beyond the frame", 2, 1, false, false, VRRP_DROP_IP_HEADER },
	{ "total length below the header", 3, 19, false, false, VRRP_DROP_IP_HEADER },
	{ "protocol 113", 9, 113, false, false, VRRP_DROP_IP_HEADER },
	{ "IP header checksum wrong", 1, 0x77, true, false, VRRP_DROP_IP_HEADER },
	{ "first fragment", 6, 0x20, false, false, VRRP_DROP_FRAGMENT },
	{ "later fragment", 7, 1, false, false, VRRP_DROP_FRAGMENT },
	{ "don't-fragment is no fragment", 6, 0x40, false, false, VRRP_OK },
	{ "total length ends in the fixed header", 3, 27, false, false,
	    VRRP_DROP_TRUNCATED },
	{ "version 4", 20, 0x41, false, false, VRRP_DROP_VERSION },
	{ "version 2", 20, 0x21, false, false, VRRP_DROP_VERSION },
	{ "type 2", 20, 0x32, false, false, VRRP_DROP_TYPE },
	{ "address count 0", 23, 0, false, false, VRRP_DROP_COUNT },
	{ "address count beyond the message", 23, 3, false, false, VRRP_DROP_LENGTH },
	{ "address count 255", 23, 255, false, false, VRRP_DROP_LENGTH },
	{ "checksum wrong", 28, 99, false, true, VRRP_DROP_CHECKSUM },
	{ "reserved bits set", 24, 0xf3, false, false, VRRP_OK },
	{ "VRID 0", 21, 0, false, false, VRRP_DROP_VRID },
	{ "VRID of somebody else", 21, 45, false, false, VRRP_DROP_VRID },
	{ "priority 0 is a message", 22, 0, false, false, VRRP_OK },
	{ "priority 255 is one too", 22, 255, false, false, VRRP_OK },
	{ "another address list", 31, 7, false, false, VRRP_OK },
	{ "destination is no group", 16, 10, false, false, VRRP_DROP_DESTINATION },
};

static uint16_t
sum16(const uint8_t *bytes, size_t len, uint32_t sum)
{
	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)(bytes[i] << 8 | bytes[i + 1]);
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void
repair(uint8_t *packet, bool ip, bool message)
{
	uint16_t sum;

	if (message) {
		packet[26] = packet[27] = 0;
		sum = sum16(packet + 20, 16, 0);
		packet[26] = (uint8_t)(sum >> 8);
		packet[27] = (uint8_t)sum;
	}
	if (ip) {
		packet[10] = packet[11] = 0;
		sum = sum16(packet, 20, 0);
		packet[10] = (uint8_t)(sum >> 8);
		packet[11] = (uint8_t)sum;
	}
}

static void
test_receive_ladder(void **context)
{
	unsigned wrong = 0;

	(void)context;
	for (size_t i = 0; i < sizeof(negatives) / sizeof(negatives[0]); i++) {
		const struct negative *row = &negatives[i];
		uint8_t packet[46];
		struct vrrp_advert advert;
		struct td_addr source;
		enum vrrp_drop drop;

		memcpy(packet, captured_v3 + 14, sizeof(packet));
		packet[row->offset] = row->value;
		repair(packet, !row->keep_ip_sum, !row->keep_sum);
		drop = vrrp_receive(
		    packet, sizeof(packet), &multicast_44, &advert, &source);
		if (drop != row->want) {
			print_error(
			    "row \"%s\": %s\n", row->name, vrrp_drop_name(drop));
			wrong++;
		}
	}
	assert_int_equal(wrong, 0);
}

static void
test_interval_0_is_refused(void **context)
{
	uint8_t packet[46];
	struct vrrp_advert advert;
	struct td_addr source;

	(void)context;
	memcpy(packet, captured_v3 + 14, sizeof(packet));
	packet[24] = packet[25] = 0;
	repair(packet, true, true);
	assert_int_equal(
	    vrrp_receive(packet, sizeof(packet), &multicast_44, &advert, &source),
	    VRRP_DROP_INTERVAL);
}

static void
test_truncated_at_every_byte(void **context)
{
	struct vrrp_advert advert;
	struct td_addr source;

	(void)context;
	for (size_t len = 0; len < 36; len++)
		assert_int_equal(vrrp_receive(captured_v3 + 14, len, &multicast_44,
				     &advert, &source),
		    VRRP_DROP_IP_HEADER);
	for (size_t len = 36; len <= 46; len++)
		assert_int_equal(vrrp_receive(captured_v3 + 14, len, &multicast_44,
				     &advert, &source),
		    VRRP_OK);
}

static void
test_ip_options_are_skipped(void **context)
{
	uint8_t packet[40] = { 0 };
	struct vrrp_advert advert;
	struct td_addr source;

	(void)context;
	memcpy(packet, captured_v3 + 14, 20);
	packet[0] = 0x46;
	packet[3] = 40;
	packet[20] = packet[21] = packet[22] = 1; /* no operation */
	memcpy(packet + 24, captured_v3 + 34, 16);
	packet[10] = packet[11] = 0;
	uint16_t sum = sum16(packet, 24, 0);

	packet[10] = (uint8_t)(sum >> 8);
	packet[11] = (uint8_t)sum;
	assert_int_equal(
	    vrrp_receive(packet, sizeof(packet), &multicast_44, &advert, &source),
	    VRRP_OK);
}

static void
test_own_and_foreign_sources(void **context)
{
	struct vrrp_accept accept = multicast_44;
	struct vrrp_advert advert;
	struct td_addr source;

	(void)context;
	accept.own = ipv4(10, 0, 0, 91);
	assert_int_equal(vrrp_receive(captured_v3 + 14, 46, &accept, &advert, &source),
	    VRRP_DROP_OWN);
	accept.own = ipv4(10, 0, 0, 1);
	accept.peer = ipv4(10, 0, 0, 92);
	assert_int_equal(vrrp_receive(captured_v3 + 14, 46, &accept, &advert, &source),
	    VRRP_DROP_SOURCE);
	accept.peer = ipv4(10, 0, 0, 91);
	assert_int_equal(
	    vrrp_receive(captured_v3 + 14, 46, &accept, &advert, &source), VRRP_OK);
	accept.unicast = true;
	assert_int_equal(vrrp_receive(captured_v3 + 14, 46, &accept, &advert, &source),
	    VRRP_DROP_DESTINATION);
}

static void
test_interval_out_of_the_field_is_not_sent(void **context)
{
	static const uint8_t addresses[] = { 192, 0, 2, 1 };
	struct td_addr source = ipv4(192, 0, 2, 2), group = vrrp_group(TD_AF_INET);
	struct vrrp_advert advert = { VRRP_VERSION, TD_AF_INET, 7, 100,
		4096 * NS_PER_CS, VRRP_CHECKSUM_PSEUDO_HEADER, 1, addresses };
	uint8_t buf[16];

	(void)context;
	assert_int_equal(
	    vrrp_advert_encode(&advert, &source, &group, buf, sizeof(buf)), 0);
	advert.max_adver_interval_ns = NS_PER_CS - 1;
	assert_int_equal(
	    vrrp_advert_encode(&advert, &source, &group, buf, sizeof(buf)), 0);
	advert.max_adver_interval_ns = NS_PER_CS;
	assert_int_equal(vrrp_advert_encode(&advert, &source, &group, buf, 11), 0);
	assert_int_equal(vrrp_advert_encode(&advert, &source, &group, buf, 12), 12);
}

/* ---- IPv6 ---- */

#define IPV6_LEN (40 + sizeof(captured_v3_ipv6))

static const struct vrrp_accept multicast6_45 = {
	.version = VRRP_VERSION, .family = TD_AF_INET6, .vrid = 45
};

/* The captured message behind a header as RFC 8200 draws it. */
static void
make_ipv6(uint8_t packet[IPV6_LEN])
{
	struct td_addr group = vrrp_group(TD_AF_INET6);

	memset(packet, 0, IPV6_LEN);
	packet[0] = 0x60;
	packet[5] = sizeof(captured_v3_ipv6);
	packet[6] = 112;
	packet[7] = 255;
	memcpy(packet + 8, captured_v6_source.bytes, 16);
	memcpy(packet + 24, group.bytes, 16);
	memcpy(packet + 40, captured_v3_ipv6, sizeof(captured_v3_ipv6));
}

/* Next header and length of RFC 8200's pseudo-header, the addresses, the message. */
static void
repair6(uint8_t *packet)
{
	uint16_t sum;

	packet[46] = packet[47] = 0;
	sum = sum16(packet + 40, sizeof(captured_v3_ipv6), 0);
	sum = sum16(packet + 8, 32, 112 + sizeof(captured_v3_ipv6) + (uint16_t)~sum);
	packet[46] = (uint8_t)(sum >> 8);
	packet[47] = (uint8_t)sum;
}

static const struct negative negatives6[] = {
	{ "untouched", 0, 0x60, false, false, VRRP_OK },
	{ "traffic class and flow label", 1, 0x0c, false, false, VRRP_OK },
	{ "IP version 4", 0, 0x40, false, false, VRRP_DROP_IP_HEADER },
	{ "payload beyond the frame", 5, 41, false, false, VRRP_DROP_IP_HEADER },
	{ "next header 58", 6, 58, false, false, VRRP_DROP_IP_HEADER },
	{ "a fragment header", 6, 44, false, false, VRRP_DROP_IP_HEADER },
	{ "hop limit 254: it crossed a router", 7, 254, false, false, VRRP_DROP_TTL },
	{ "payload ends in the fixed header", 5, 7, false, false, VRRP_DROP_TRUNCATED },
	{ "version 2 over IPv6", 40, 0x21, false, false, VRRP_DROP_VERSION },
	{ "type 2", 40, 0x32, false, false, VRRP_DROP_TYPE },
	{ "VRID of somebody else", 41, 46, false, false, VRRP_DROP_VRID },
	{ "priority 0", 42, 0, false, false, VRRP_OK },
	{ "address count 0", 43, 0, false, false, VRRP_DROP_COUNT },
	{ "IPv4 addresses in an IPv6 packet", 43, 8, false, false, VRRP_DROP_LENGTH },
	{ "reserved bits set", 44, 0xf3, false, false, VRRP_OK },
	{ "checksum wrong", 47, 99, false, true, VRRP_DROP_CHECKSUM },
	{ "first address not link-local (erratum 8300)", 48, 0x20, false, false,
	    VRRP_DROP_LINK_LOCAL },
	{ "destination is no group", 39, 0x13, false, false, VRRP_DROP_DESTINATION },
};

static void
test_receive_ladder_ipv6(void **context)
{
	unsigned wrong = 0;

	(void)context;
	for (size_t i = 0; i < sizeof(negatives6) / sizeof(negatives6[0]); i++) {
		const struct negative *row = &negatives6[i];
		uint8_t packet[IPV6_LEN];
		struct vrrp_advert advert;
		struct td_addr source;
		enum vrrp_drop drop;

		make_ipv6(packet);
		packet[row->offset] = row->value;
		if (!row->keep_sum)
			repair6(packet);
		drop = vrrp_receive(
		    packet, sizeof(packet), &multicast6_45, &advert, &source);
		if (drop != row->want) {
			print_error(
			    "row \"%s\": %s\n", row->name, vrrp_drop_name(drop));
			wrong++;
		}
	}
	assert_int_equal(wrong, 0);
}

static void
test_ipv6_needs_the_pseudo_header(void **context)
{
	uint8_t packet[IPV6_LEN];
	struct vrrp_advert advert;
	struct td_addr source;
	uint16_t sum;

	(void)context;
	make_ipv6(packet);
	packet[46] = packet[47] = 0;
	sum = sum16(packet + 40, sizeof(captured_v3_ipv6), 0);
	packet[46] = (uint8_t)(sum >> 8);
	packet[47] = (uint8_t)sum;
	assert_int_equal(
	    vrrp_receive(packet, sizeof(packet), &multicast6_45, &advert, &source),
	    VRRP_DROP_CHECKSUM);
}

static void
test_ipv6_truncated_at_every_byte(void **context)
{
	uint8_t packet[IPV6_LEN + 6];
	struct vrrp_advert advert;
	struct td_addr source;

	(void)context;
	make_ipv6(packet);
	for (size_t len = 0; len <= sizeof(packet); len++)
		assert_int_equal(
		    vrrp_receive(packet, len, &multicast6_45, &advert, &source),
		    len < IPV6_LEN ? VRRP_DROP_IP_HEADER : VRRP_OK);
	assert_memory_equal(&source, &captured_v6_source, sizeof(source));
}

static void
test_encoder_makes_the_captured_ipv6_packet(void **context)
{
	struct vrrp_advert advert = { VRRP_VERSION, TD_AF_INET6, 45, 191, 10 * NS_PER_S,
		VRRP_CHECKSUM_PSEUDO_HEADER, 2, captured_v3_ipv6 + 8 };
	uint8_t mac[6], frame[VRRP_FRAME_BYTES_MAX], packet[IPV6_LEN];
	size_t len;

	(void)context;
	vrrp_virtual_mac(TD_AF_INET6, 45, mac);
	len =
	    vrrp_frame_encode(&advert, mac, &captured_v6_source, frame, sizeof(frame));
	assert_int_equal(len, 14 + IPV6_LEN);
	assert_memory_equal(frame, "\x33\x33\0\0\0\x12\0\0\x5e\0\x02\x2d\x86\xdd", 14);
	make_ipv6(packet);
	packet[0] = 0x6c; /* network control, as over IPv4 */
	assert_memory_equal(frame + 14, packet, IPV6_LEN);
}

/* ---- version 2 ---- */

static const struct vrrp_accept v2_43 = { .version = VRRP_VERSION_2,
	.family = TD_AF_INET,
	.vrid = 43,
	.interval_ns = 10 * NS_PER_S };

static const struct {
	const char *name;
	size_t offset; /* in the message */
	uint8_t value;
	bool keep_sum;
	enum vrrp_drop want;
} negatives_v2[] = {
	{ "as captured", 0, 0x21, false, VRRP_OK },
	{ "version 3", 0, 0x31, false, VRRP_DROP_VERSION },
	{ "type 2", 0, 0x22, false, VRRP_DROP_TYPE },
	{ "a password", 4, 1, false, VRRP_DROP_AUTH },
	{ "CARP: its demotion stands where the type does", 4, 7, false,
	    VRRP_DROP_AUTH },
	{ "address count 0", 3, 0, false, VRRP_DROP_COUNT },
	{ "no room for the authentication data", 3, 2, false, VRRP_DROP_LENGTH },
	{ "checksum wrong", 7, 99, true, VRRP_DROP_CHECKSUM },
	{ "authentication data is summed", 12, 1, true, VRRP_DROP_CHECKSUM },
	{ "interval 0", 5, 0, false, VRRP_DROP_INTERVAL },
	{ "interval of 1 s, ours is 10 s", 5, 1, false, VRRP_DROP_INTERVAL_MISMATCH },
	{ "VRID of somebody else", 1, 44, false, VRRP_DROP_VRID },
	{ "priority 0", 2, 0, false, VRRP_OK },
};

static void
test_receive_ladder_version_2(void **context)
{
	unsigned wrong = 0;

	(void)context;
	for (size_t i = 0; i < sizeof(negatives_v2) / sizeof(negatives_v2[0]); i++) {
		uint8_t packet[46];
		struct vrrp_advert advert;
		struct td_addr source;
		enum vrrp_drop drop;
		uint16_t sum;

		memcpy(packet, captured_v2_plain, sizeof(packet));
		packet[20 + negatives_v2[i].offset] = negatives_v2[i].value;
		if (!negatives_v2[i].keep_sum) {
			packet[26] = packet[27] = 0;
			sum = sum16(packet + 20, 20, 0);
			packet[26] = (uint8_t)(sum >> 8);
			packet[27] = (uint8_t)sum;
		}
		drop = vrrp_receive(packet, sizeof(packet), &v2_43, &advert, &source);
		if (drop != negatives_v2[i].want) {
			print_error("row \"%s\": %s\n", negatives_v2[i].name,
			    vrrp_drop_name(drop));
			wrong++;
		}
	}
	assert_int_equal(wrong, 0);
}

static void
test_encoder_makes_the_captured_version_2(void **context)
{
	struct vrrp_advert advert = { VRRP_VERSION_2, TD_AF_INET, 43, 191,
		10 * NS_PER_S, VRRP_CHECKSUM_PSEUDO_HEADER, 1, captured_v2_plain + 28 };
	struct td_addr source = ipv4(10, 0, 0, 91), group = vrrp_group(TD_AF_INET);
	struct vrrp_advert back;
	uint8_t buf[32];

	(void)context;
	assert_int_equal(
	    vrrp_advert_encode(&advert, &source, &group, buf, sizeof(buf)), 20);
	assert_memory_equal(buf, captured_v2_plain + 20, 20);
	assert_int_equal(
	    vrrp_receive(captured_v2_plain, 46, &v2_43, &back, &source), VRRP_OK);
	assert_int_equal(back.version, VRRP_VERSION_2);
	assert_int_equal(back.max_adver_interval_ns, 10 * NS_PER_S);
	advert.max_adver_interval_ns = 1500 * NS_PER_MS;
	assert_int_equal(
	    vrrp_advert_encode(&advert, &source, &group, buf, sizeof(buf)), 0);
	advert.max_adver_interval_ns = 256 * NS_PER_S;
	assert_int_equal(
	    vrrp_advert_encode(&advert, &source, &group, buf, sizeof(buf)), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_captured_multicast_frame_is_accepted),
		cmocka_unit_test(test_captured_ipv6_message_is_accepted),
		cmocka_unit_test(test_captured_version_2_is_refused_by_version),
		cmocka_unit_test(test_encoder_makes_the_captured_frame),
		cmocka_unit_test(test_checksums_of_scapy),
		cmocka_unit_test(test_both_checksum_forms_are_accepted_and_told_apart),
		cmocka_unit_test(test_receive_ladder),
		cmocka_unit_test(test_interval_0_is_refused),
		cmocka_unit_test(test_truncated_at_every_byte),
		cmocka_unit_test(test_ip_options_are_skipped),
		cmocka_unit_test(test_own_and_foreign_sources),
		cmocka_unit_test(test_interval_out_of_the_field_is_not_sent),
		cmocka_unit_test(test_receive_ladder_ipv6),
		cmocka_unit_test(test_ipv6_needs_the_pseudo_header),
		cmocka_unit_test(test_ipv6_truncated_at_every_byte),
		cmocka_unit_test(test_encoder_makes_the_captured_ipv6_packet),
		cmocka_unit_test(test_receive_ladder_version_2),
		cmocka_unit_test(test_encoder_makes_the_captured_version_2),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
