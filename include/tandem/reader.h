/*
 * reader.h - a bounded cursor over received bytes, and one over bytes to send.
 *
 * A read past the end returns zero and sets `failed`, which stays: read the fields in
 * order, check once. The writer likewise: a write past the end sets `failed`.
 */
#ifndef TANDEM_READER_H
#define TANDEM_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct td_reader {
	const uint8_t *at;
	size_t left;
	bool failed;
};

struct td_writer {
	uint8_t *at;
	size_t left;
	bool failed;
};

static inline const uint8_t *
read_take(struct td_reader *rd, size_t len)
{
	const uint8_t *p = rd->at;

	if (rd->failed || rd->left < len) {
		rd->failed = true;
		return NULL;
	}
	rd->at += len;
	rd->left -= len;
	return p;
}

static inline void
read_bytes(struct td_reader *rd, void *ret, size_t len)
{
	const uint8_t *p = read_take(rd, len);

	if (p != NULL)
		memcpy(ret, p, len);
	else
		memset(ret, 0, len);
}

static inline uint8_t
read_u8(struct td_reader *rd)
{
	const uint8_t *p = read_take(rd, 1);

	return p != NULL ? p[0] : 0;
}

static inline uint16_t
read_be16(struct td_reader *rd)
{
	const uint8_t *p = read_take(rd, 2);

	return p != NULL ? (uint16_t)((uint32_t)p[0] << 8 | p[1]) : 0;
}

static inline uint32_t
read_be32(struct td_reader *rd)
{
	const uint8_t *p = read_take(rd, 4);

	if (p == NULL)
		return 0;
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline uint64_t
read_be64(struct td_reader *rd)
{
	uint64_t high = read_be32(rd);

	return high << 32 | read_be32(rd);
}

static inline void
write_bytes(struct td_writer *wr, const void *bytes, size_t len)
{
	if (wr->failed || wr->left < len) {
		wr->failed = true;
		return;
	}
	memcpy(wr->at, bytes, len);
	wr->at += len;
	wr->left -= len;
}

static inline void
write_u8(struct td_writer *wr, uint8_t v)
{
	write_bytes(wr, &v, 1);
}

static inline void
write_be16(struct td_writer *wr, uint16_t v)
{
	uint8_t b[2] = { (uint8_t)(v >> 8), (uint8_t)v };

	write_bytes(wr, b, sizeof(b));
}

static inline void
write_be32(struct td_writer *wr, uint32_t v)
{
	uint8_t b[4] = { (uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v };

	write_bytes(wr, b, sizeof(b));
}

static inline void
write_be64(struct td_writer *wr, uint64_t v)
{
	write_be32(wr, (uint32_t)(v >> 32));
	write_be32(wr, (uint32_t)v);
}

#endif
