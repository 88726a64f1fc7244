#include "vrrpd/core/vrrp_wire.h"

#include <string.h>
#include <tandem/assert.h>
#include <tandem/instant.h>
#include <tandem/reader.h>

#define INTERVAL_CS_MAX 0x0fff    /* the top 4 bits are reserved */
#define IPV4_FRAGMENT_MASK 0x3fff /* more fragments, or an offset */
#define IPV4_TOS_CONTROL 0xc0
#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_IPV6 0x86dd
#define V2_INTERVAL_S_MAX 255
#define V2_AUTH_NONE 0

void
vrrp_virtual_mac(uint8_t family, uint8_t vrid, uint8_t ret_mac[6])
{
	const uint8_t mac[6] = { 0x00, 0x00, 0x5e, 0x00,
		family == TD_AF_INET6 ? 0x02 : 0x01, vrid };

	memcpy(ret_mac, mac, sizeof(mac));
}

struct td_addr
vrrp_group(uint8_t family)
{
	struct td_addr group;

	memset(&group, 0, sizeof(group));
	group.family = family;
	if (family == TD_AF_INET6) {
		group.bytes[0] = 0xff;
		group.bytes[1] = 0x02;
		group.bytes[15] = 0x12;
	} else {
		group.bytes[0] = 224;
		group.bytes[3] = 18;
	}
	return group;
}

const uint8_t *
vrrp_group_mac(uint8_t family)
{
	static const uint8_t mac4[6] = { 0x01, 0x00, 0x5e, 0x00, 0x00, 0x12 };
	static const uint8_t mac6[6] = { 0x33, 0x33, 0x00, 0x00, 0x00, 0x12 };

	return family == TD_AF_INET6 ? mac6 : mac4;
}

static size_t
address_len(uint8_t family)
{
	return family == TD_AF_INET6 ? 16 : 4;
}

/* One's complement addition; `sum` is not folded. */
static uint64_t
sum_words(uint64_t sum, const uint8_t *bytes, size_t len)
{
	size_t i;

	for (i = 0; i + 1 < len; i += 2)
		sum += (uint64_t)bytes[i] << 8 | bytes[i + 1];
	if (i < len)
		sum += (uint64_t)bytes[i] << 8;
	return sum;
}

static uint16_t
sum_fold(uint64_t sum)
{
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* RFC 8200 section 8.1, and RFC 793 for IPv4: the same fields, so the same sum. */
static uint64_t
sum_pseudo_header(
    const struct td_addr *source, const struct td_addr *destination, size_t message_len)
{
	size_t len = address_len(source->family);
	uint64_t sum = sum_words(0, source->bytes, len);

	sum = sum_words(sum, destination->bytes, len);
	return sum + VRRP_PROTOCOL + message_len;
}

enum vrrp_drop
vrrp_ipv4_decode(const uint8_t *packet, size_t len, struct vrrp_packet *ret_packet)
{
	struct td_reader rd = { packet, len, false };
	struct vrrp_packet p;
	uint8_t version_ihl = read_u8(&rd);
	uint16_t total_len, fragment;
	uint8_t protocol;
	size_t header_len = (size_t)(version_ihl & 0x0f) * 4;

	memset(&p, 0, sizeof(p));
	(void)read_u8(&rd); /* type of service */
	total_len = read_be16(&rd);
	(void)read_be16(&rd); /* identification */
	fragment = read_be16(&rd);
	p.ttl = read_u8(&rd);
	protocol = read_u8(&rd);
	(void)read_be16(&rd); /* header checksum: part of the sum below */
	p.source.family = p.destination.family = TD_AF_INET;
	read_bytes(&rd, p.source.bytes, 4);
	read_bytes(&rd, p.destination.bytes, 4);

	if (rd.failed || version_ihl >> 4 != 4 || header_len < IPV4_HEADER_BYTES ||
	    total_len < header_len || total_len > len || protocol != VRRP_PROTOCOL ||
	    sum_fold(sum_words(0, packet, header_len)) != 0xffff)
		return VRRP_DROP_IP_HEADER;
	if ((fragment & IPV4_FRAGMENT_MASK) != 0)
		return VRRP_DROP_FRAGMENT;
	p.payload = packet + header_len;
	p.payload_len = total_len - header_len;
	*ret_packet = p;
	return VRRP_OK;
}

enum vrrp_drop
vrrp_ipv6_decode(const uint8_t *packet, size_t len, struct vrrp_packet *ret_packet)
{
	struct td_reader rd = { packet, len, false };
	struct vrrp_packet p;
	uint32_t version_flow = read_be32(&rd);
	uint16_t payload_len = read_be16(&rd);
	uint8_t next_header = read_u8(&rd);

	memset(&p, 0, sizeof(p));
	p.ttl = read_u8(&rd);
	p.source.family = p.destination.family = TD_AF_INET6;
	read_bytes(&rd, p.source.bytes, 16);
	read_bytes(&rd, p.destination.bytes, 16);
	/* A fragment has another next header, and so has any extension. */
	if (rd.failed || version_flow >> 28 != 6 || next_header != VRRP_PROTOCOL ||
	    payload_len > len - IPV6_HEADER_BYTES)
		return VRRP_DROP_IP_HEADER;
	p.payload = packet + IPV6_HEADER_BYTES;
	p.payload_len = payload_len;
	*ret_packet = p;
	return VRRP_OK;
}

/* Version 2 has no pseudo-header: RFC 3768 section 5.3.8. */
static bool
checksum_form(uint8_t version, const uint8_t *message, size_t len,
    const struct td_addr *source, const struct td_addr *destination,
    enum vrrp_checksum *ret_form)
{
	uint64_t sum = sum_words(0, message, len);

	if (version != VRRP_VERSION_2 &&
	    sum_fold(sum + sum_pseudo_header(source, destination, len)) == 0xffff) {
		*ret_form = VRRP_CHECKSUM_PSEUDO_HEADER;
		return true;
	}
	if (source->family == TD_AF_INET && sum_fold(sum) == 0xffff) {
		*ret_form = VRRP_CHECKSUM_MESSAGE_ONLY;
		return true;
	}
	return false;
}

static bool
is_link_local(const uint8_t address[16])
{
	return address[0] == 0xfe && (address[1] & 0xc0) == 0x80;
}

enum vrrp_drop
vrrp_advert_decode(uint8_t version, const uint8_t *message, size_t len,
    const struct td_addr *source, const struct td_addr *destination,
    struct vrrp_advert *ret_advert)
{
	struct td_reader rd = { message, len, false };
	struct vrrp_advert a;
	bool v2 = version == VRRP_VERSION_2;
	uint8_t version_type;
	uint16_t interval;
	size_t each = address_len(source->family), message_len;

	td_assert(!v2 || source->family == TD_AF_INET);
	memset(&a, 0, sizeof(a));
	a.version = version;
	a.family = source->family;
	version_type = read_u8(&rd);
	a.vrid = read_u8(&rd);
	a.priority = read_u8(&rd);
	a.address_count = read_u8(&rd);
	interval = read_be16(&rd);
	a.max_adver_interval_ns = v2 ? (interval & 0xff) * NS_PER_S
				     : (interval & INTERVAL_CS_MAX) * NS_PER_CS;
	(void)read_be16(&rd);

	if (rd.failed)
		return VRRP_DROP_TRUNCATED;
	if (version_type >> 4 != version)
		return VRRP_DROP_VERSION;
	if ((version_type & 0x0f) != VRRP_TYPE_ADVERTISEMENT)
		return VRRP_DROP_TYPE;
	if (v2 && interval >> 8 != V2_AUTH_NONE)
		return VRRP_DROP_AUTH;
	if (a.address_count == 0)
		return VRRP_DROP_COUNT;
	/* More bytes than the count needs are summed: the draft authentication trailer
	 * follows the list but is no part of the message, so only `message_len` counts.
	 */
	a.addresses = read_take(&rd, a.address_count * each);
	if (v2)
		(void)read_take(&rd, VRRP_AUTH_BYTES);
	message_len =
	    VRRP_HEADER_BYTES + a.address_count * each + (v2 ? VRRP_AUTH_BYTES : 0);
	if (rd.failed)
		return VRRP_DROP_LENGTH;
	if (!checksum_form(
		version, message, message_len, source, destination, &a.checksum))
		return VRRP_DROP_CHECKSUM;
	if (a.max_adver_interval_ns == 0)
		return VRRP_DROP_INTERVAL;
	if (a.family == TD_AF_INET6 && !is_link_local(a.addresses))
		return VRRP_DROP_LINK_LOCAL;
	*ret_advert = a;
	return VRRP_OK;
}

static bool
same_address(const struct td_addr *a, const struct td_addr *b)
{
	return a->family == b->family &&
	       memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

enum vrrp_drop
vrrp_receive(const uint8_t *packet, size_t len, const struct vrrp_accept *accept,
    struct vrrp_advert *ret_advert, struct td_addr *ret_source)
{
	struct vrrp_packet p;
	struct vrrp_advert a;
	struct td_addr group = vrrp_group(accept->family);
	enum vrrp_drop drop = accept->family == TD_AF_INET6
				  ? vrrp_ipv6_decode(packet, len, &p)
				  : vrrp_ipv4_decode(packet, len, &p);

	if (drop != VRRP_OK)
		return drop;
	*ret_source = p.source;
	/* Our own multicast comes back through bridges that flood to the sender. It
	 * says nothing, whatever it contains. */
	if (accept->own.family != 0 && same_address(&p.source, &accept->own))
		return VRRP_DROP_OWN;
	if (p.ttl != VRRP_TTL)
		return VRRP_DROP_TTL;
	drop = vrrp_advert_decode(
	    accept->version, p.payload, p.payload_len, &p.source, &p.destination, &a);
	if (drop != VRRP_OK)
		return drop;
	if (a.vrid != accept->vrid)
		return VRRP_DROP_VRID;
	if (same_address(&p.destination, &group) == accept->unicast)
		return VRRP_DROP_DESTINATION;
	if (accept->peer.family != 0 && !same_address(&p.source, &accept->peer))
		return VRRP_DROP_SOURCE;
	if (accept->version == VRRP_VERSION_2 &&
	    a.max_adver_interval_ns != accept->interval_ns)
		return VRRP_DROP_INTERVAL_MISMATCH;
	*ret_advert = a;
	return VRRP_OK;
}

/* The 16 bits between the address count and the checksum; false: out of range. */
static bool
interval_field(const struct vrrp_advert *advert, uint16_t *ret_field)
{
	bool v2 = advert->version == VRRP_VERSION_2;
	int64_t unit = v2 ? NS_PER_S : NS_PER_CS;
	int64_t count = advert->max_adver_interval_ns / unit;

	if (count < 1 || count > (v2 ? V2_INTERVAL_S_MAX : INTERVAL_CS_MAX) ||
	    (v2 && advert->max_adver_interval_ns % unit != 0))
		return false;
	*ret_field = (uint16_t)count; /* reserved bits, or authentication type: 0 */
	return true;
}

size_t
vrrp_advert_encode(const struct vrrp_advert *advert, const struct td_addr *source,
    const struct td_addr *destination, uint8_t *buf, size_t size)
{
	static const uint8_t no_auth[VRRP_AUTH_BYTES];
	struct td_writer wr = { buf, size, false };
	bool v2 = advert->version == VRRP_VERSION_2;
	size_t each = address_len(advert->family), len;
	uint16_t interval;
	uint64_t sum;
	uint16_t checksum;

	td_assert(
	    source->family == advert->family && destination->family == advert->family);
	td_assert(advert->address_count >= 1);
	td_assert(
	    advert->version == VRRP_VERSION || (v2 && advert->family == TD_AF_INET));
	if (!interval_field(advert, &interval))
		return 0;
	write_u8(&wr, (uint8_t)(advert->version << 4 | VRRP_TYPE_ADVERTISEMENT));
	write_u8(&wr, advert->vrid);
	write_u8(&wr, advert->priority);
	write_u8(&wr, advert->address_count);
	write_be16(&wr, interval);
	write_be16(&wr, 0);
	write_bytes(&wr, advert->addresses, advert->address_count * each);
	if (v2)
		write_bytes(&wr, no_auth, sizeof(no_auth));
	if (wr.failed)
		return 0;
	len = size - wr.left;
	sum = sum_words(0, buf, len);
	if (!v2 && (advert->checksum == VRRP_CHECKSUM_PSEUDO_HEADER ||
		       advert->family == TD_AF_INET6))
		sum += sum_pseudo_header(source, destination, len);
	checksum = (uint16_t)~sum_fold(sum);
	buf[6] = (uint8_t)(checksum >> 8);
	buf[7] = (uint8_t)checksum;
	return len;
}

static void
write_ipv4(struct td_writer *wr, const struct td_addr *source,
    const struct td_addr *destination, size_t message_len)
{
	uint8_t *ip = wr->at;
	uint16_t checksum;

	write_u8(wr, 0x45);
	write_u8(wr, IPV4_TOS_CONTROL);
	write_be16(wr, (uint16_t)(IPV4_HEADER_BYTES + message_len));
	write_be16(wr, 0); /* identification: nobody fragments it */
	write_be16(wr, 0);
	write_u8(wr, VRRP_TTL);
	write_u8(wr, VRRP_PROTOCOL);
	write_be16(wr, 0);
	write_bytes(wr, source->bytes, 4);
	write_bytes(wr, destination->bytes, 4);
	td_assert(!wr->failed);
	checksum = (uint16_t)~sum_fold(sum_words(0, ip, IPV4_HEADER_BYTES));
	ip[10] = (uint8_t)(checksum >> 8);
	ip[11] = (uint8_t)checksum;
}

static void
write_ipv6(struct td_writer *wr, const struct td_addr *source,
    const struct td_addr *destination, size_t message_len)
{
	write_be32(wr, 6U << 28 | IPV4_TOS_CONTROL << 20);
	write_be16(wr, (uint16_t)message_len);
	write_u8(wr, VRRP_PROTOCOL);
	write_u8(wr, VRRP_TTL);
	write_bytes(wr, source->bytes, 16);
	write_bytes(wr, destination->bytes, 16);
	td_assert(!wr->failed);
}

size_t
vrrp_frame_encode(const struct vrrp_advert *advert, const uint8_t source_mac[6],
    const struct td_addr *source, uint8_t *buf, size_t size)
{
	struct td_writer wr = { buf, size, false };
	struct td_addr group = vrrp_group(advert->family);
	bool v6 = advert->family == TD_AF_INET6;
	size_t headers =
	    ETHER_HEADER_BYTES + (v6 ? IPV6_HEADER_BYTES : IPV4_HEADER_BYTES);
	size_t message_len;

	if (size <= headers)
		return 0;
	message_len =
	    vrrp_advert_encode(advert, source, &group, buf + headers, size - headers);
	if (message_len == 0)
		return 0;
	write_bytes(&wr, vrrp_group_mac(advert->family), 6);
	write_bytes(&wr, source_mac, 6);
	write_be16(&wr, v6 ? ETHERTYPE_IPV6 : ETHERTYPE_IPV4);
	if (v6)
		write_ipv6(&wr, source, &group, message_len);
	else
		write_ipv4(&wr, source, &group, message_len);
	return headers + message_len;
}

const char *
vrrp_drop_name(enum vrrp_drop drop)
{
	static const char *const names[VRRP_DROP_COUNT_OF_REASONS] = {
		[VRRP_OK] = "ok",
		[VRRP_DROP_IP_HEADER] = "ip_header",
		[VRRP_DROP_FRAGMENT] = "fragment",
		[VRRP_DROP_TTL] = "ttl",
		[VRRP_DROP_TRUNCATED] = "truncated",
		[VRRP_DROP_VERSION] = "version",
		[VRRP_DROP_TYPE] = "type",
		[VRRP_DROP_AUTH] = "auth_type",
		[VRRP_DROP_COUNT] = "address_count",
		[VRRP_DROP_LENGTH] = "length",
		[VRRP_DROP_CHECKSUM] = "checksum",
		[VRRP_DROP_INTERVAL] = "interval",
		[VRRP_DROP_LINK_LOCAL] = "link_local",
		[VRRP_DROP_VRID] = "vrid",
		[VRRP_DROP_OWN] = "own",
		[VRRP_DROP_DESTINATION] = "destination",
		[VRRP_DROP_SOURCE] = "source",
		[VRRP_DROP_INTERVAL_MISMATCH] = "interval_mismatch",
	};

	td_assert(drop < VRRP_DROP_COUNT_OF_REASONS);
	return names[drop];
}
