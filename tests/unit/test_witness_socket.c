/* Two witness sockets on loopback: what is sealed for whom. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <sodium.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <tandem/instant.h>
#include <tandem/room.h>
#include "common/loop.h"
#include "vrrpd/witness_socket.h"

#define PORT 48811

struct node {
	struct witness_socket *socket;
	struct witness_payload last;
	unsigned heard, asked;
};

struct pair {
	struct loop *loop;
	struct td_config config[2];
	uint8_t secret[2][TD_KEY_BYTES];
	struct node node[2];
};

static void
on_heard(void *context, const struct witness_payload *payload)
{
	struct node *n = context;

	n->last = *payload;
	n->heard++;
}

static void
on_asked(void *context)
{
	struct node *n = context;

	n->asked++;
}

static void
keypair(uint8_t *ret_public, uint8_t *ret_secret)
{
	randombytes_buf(ret_secret, TD_KEY_BYTES);
	assert_int_equal(crypto_scalarmult_base(ret_public, ret_secret), 0);
}

static int
open_node(struct pair *p, unsigned i)
{
	return witness_socket_new(p->loop, &p->config[i], p->secret[i], on_heard,
	    on_asked, &p->node[i], &p->node[i].socket);
}

static int
setup(void **state)
{
	static struct pair p;

	memset(&p, 0, sizeof(p));
	if (sodium_init() < 0)
		return -1;
	p.loop = loop_new();
	strcpy(p.config[0].cluster, "pair");
	p.config[0].sync.witness_port = PORT;
	for (unsigned i = 0; i < 2; i++) {
		struct td_node *node = &p.config[0].nodes[i];

		node->sync_address[0] =
		    (struct td_addr){ TD_AF_INET, { 127, 0, 0, (uint8_t)(11 + i) } };
		keypair(node->public_key[0], p.secret[i]);
	}
	p.config[1] = p.config[0];
	p.config[1].self = 1;
	p.config[0].generation = 7;
	*state = &p;
	return 0;
}

static int
teardown(void **state)
{
	struct pair *p = *state;

	for (unsigned i = 0; i < 2; i++)
		witness_socket_free(p->node[i].socket);
	loop_free(p->loop);
	return 0;
}

static const struct witness_payload message = { .role = TD_ROLE_ACTIVE,
	.priority = 150,
	.base_priority = 150,
	.term = 9,
	.interval_ns = 100 * NS_PER_MS,
	.member_count = 1,
	.member = { WITNESS_MEMBER_LINK_UP } };

/* Loopback delivers within the call of send. */
static void
tell(struct pair *p, unsigned from)
{
	assert_int_equal(witness_socket_send(p->node[from].socket, &message), 1);
	witness_socket_drain(p->node[1 - from].socket);
}

static uint64_t
dropped(const struct pair *p, unsigned i, enum witness_drop reason)
{
	return witness_socket_counters(p->node[i].socket)->dropped[reason];
}

static void
test_a_pair_hears_each_other(void **state)
{
	struct pair *p = *state;

	assert_int_equal(open_node(p, 0), 0);
	assert_int_equal(open_node(p, 1), 0);
	tell(p, 0);
	assert_int_equal(p->node[1].heard, 0); /* not proven yet */
	assert_int_equal(p->node[1].asked, 1);
	tell(p, 1);
	assert_int_equal(p->node[0].heard, 1);
	tell(p, 0);
	assert_int_equal(p->node[1].heard, 1);
	assert_int_equal(p->node[1].last.term, 9);
	assert_int_equal(witness_socket_peer_generation(p->node[1].socket), 7);
}

static void
test_another_key_is_refused_and_counted(void **state)
{
	struct pair *p = *state;

	/* Node 1 still pins node 0's old key. */
	keypair(p->config[0].nodes[0].public_key[0], p->secret[0]);
	assert_int_equal(open_node(p, 0), 0);
	assert_int_equal(open_node(p, 1), 0);
	tell(p, 0);
	tell(p, 1);
	assert_int_equal(p->node[0].heard + p->node[1].heard, 0);
	assert_int_equal(dropped(p, 1, WITNESS_DROP_SEAL), 1);
	assert_int_equal(dropped(p, 0, WITNESS_DROP_SEAL), 1);
}

static void
test_another_cluster_cannot_open_it(void **state)
{
	struct pair *p = *state;

	strcpy(p->config[1].cluster, "other");
	assert_int_equal(open_node(p, 0), 0);
	assert_int_equal(open_node(p, 1), 0);
	tell(p, 0);
	assert_int_equal(dropped(p, 1, WITNESS_DROP_SEAL), 1);
}

static void
test_a_key_rotation_is_seamless(void **state)
{
	struct pair *p = *state;

	/* Both files name node 0's new key as its second one; it uses it already. */
	keypair(p->config[0].nodes[0].public_key[1], p->secret[0]);
	p->config[1].nodes[0] = p->config[0].nodes[0];
	assert_int_equal(open_node(p, 0), 0);
	assert_int_equal(open_node(p, 1), 0);
	for (unsigned i = 0; i < 3; i++) {
		tell(p, 0);
		tell(p, 1);
	}
	assert_true(p->node[0].heard > 0);
	assert_true(p->node[1].heard > 0);
}

static void
test_a_secret_that_is_not_ours_is_an_error(void **state)
{
	struct pair *p = *state;

	randombytes_buf(p->secret[0], TD_KEY_BYTES);
	assert_int_equal(open_node(p, 0), -ENOKEY);
}

static void
test_a_public_key_of_small_order_is_an_error(void **state)
{
	struct pair *p = *state;

	memset(p->config[0].nodes[1].public_key[0], 0, TD_KEY_BYTES);
	p->config[0].nodes[1].public_key[0][0] = 1;
	assert_int_equal(open_node(p, 0), -EINVAL);
}

static void
send_raw(const void *bytes, size_t len)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	to.sin_addr.s_addr = htonl(0x7f00000c);
	assert_int_equal(
	    sendto(fd, bytes, len, 0, (struct sockaddr *)&to, sizeof(to)), len);
	close(fd);
}

static void
test_noise_is_counted_by_reason(void **state)
{
	static const uint8_t noise[2000] = { 'T', 'W', 1, 0 };
	struct pair *p = *state;

	assert_int_equal(open_node(p, 1), 0);
	send_raw(noise, 3);
	send_raw(noise, 28);   /* a header and nothing behind it */
	send_raw(noise, 2000); /* longer than anything we send */
	send_raw("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 32);
	send_raw("TW\x02xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 32);
	send_raw("TW\x01\x01xxxxxxxxxxxxxxxxxxxxxxxxxxxx", 32); /* from ourselves */
	witness_socket_drain(p->node[1].socket);
	assert_int_equal(dropped(p, 1, WITNESS_DROP_TRUNCATED), 1);
	assert_int_equal(dropped(p, 1, WITNESS_DROP_SEAL), 2);
	assert_int_equal(dropped(p, 1, WITNESS_DROP_MAGIC), 1);
	assert_int_equal(dropped(p, 1, WITNESS_DROP_VERSION), 1);
	assert_int_equal(dropped(p, 1, WITNESS_DROP_SENDER), 1);
	assert_int_equal(p->node[1].heard + p->node[1].asked, 0);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_a_pair_hears_each_other),
		TEST(test_another_key_is_refused_and_counted),
		TEST(test_another_cluster_cannot_open_it),
		TEST(test_a_key_rotation_is_seamless),
		TEST(test_a_secret_that_is_not_ours_is_an_error),
		TEST(test_a_public_key_of_small_order_is_an_error),
		TEST(test_noise_is_counted_by_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
