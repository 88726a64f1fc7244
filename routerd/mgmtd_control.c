#include "routerd/mgmtd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include "common/log.h"
#include "routerd/core/text.h"

#define CLIENTS_MAX 32
/* An apply may take a minute with its reverts; whoever asks nothing for longer leaves.
 */
#define IDLE_LIMIT_NS (120 * NS_PER_S)
#define FORWARD_LIMIT_NS (5 * NS_PER_S)

struct client {
	struct mgmtd *m;
	struct client *next;
	int fd;
	struct loop_fd lf;
	struct loop_timer timer;
	bool busy;    /* a request is being worked on */
	bool sending; /* its samples are on their way */
	uint64_t request_id;
	uint64_t forward_id; /* our id of a request handed to a room; 0 = none */
	struct collection *collection;
	struct sample_set set; /* being sent, from `sent` on */
	size_t sent;
	struct text config; /* the configuration it hands over in parts */
};

static void
client_close(struct client *c)
{
	struct client **at = &c->m->clients;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	c->m->client_count--;
	loop_fd_remove(&c->lf);
	loop_timer_cancel(&c->timer);
	collect_cancel(c->m, c->collection);
	apply_client_gone(c->m, c);
	samples_free(&c->set);
	text_free(&c->config);
	close(c->fd);
	free(c);
}

static void
request_done(struct client *c)
{
	c->busy = c->sending = false;
	c->forward_id = 0;
	samples_free(&c->set);
	c->sent = 0;
	loop_fd_modify(&c->lf, EPOLLIN);
	loop_timer_set(&c->timer, instant_add(loop_now(c->m->loop), IDLE_LIMIT_NS));
}

/* One packet; takes the bytes over. 0, -EAGAIN (the client has not read the last ones),
 * or another error: then the client is closed and gone. */
static int
send_packet(struct client *c, uint8_t *bytes, size_t len)
{
	ssize_t n =
	    bytes != NULL ? send(c->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL) : -1;
	int error = n >= 0 ? 0 : bytes != NULL ? -errno : -ENOMEM;

	free(bytes);
	if (error < 0 && error != -EAGAIN)
		client_close(c);
	return error;
}

void
control_answer(struct client *client, int32_t status, const char *text)
{
	struct control_reply reply;
	size_t none = 0, len = 0;
	uint8_t *bytes;

	if (client == NULL)
		return;
	reply = (struct control_reply){
		.id = client->request_id,
		.status = status,
		.text = (char *)(uintptr_t)text,
	};
	bytes = control_reply_encode(&reply, NULL, &none, &len);
	/* The queue is empty: this is the only packet of the answer. */
	if (send_packet(client, bytes, len) == 0)
		request_done(client);
}

/* As many parts as the client's queue takes, then when it has read them; at the end an
 * empty one that says so. */
static void
send_samples(struct client *c)
{
	for (;;) {
		size_t count = c->set.count - c->sent, len = 0;
		bool last = count == 0;
		struct control_reply reply = { .id = c->request_id, .more = !last };
		uint8_t *bytes = control_reply_encode(
		    &reply, last ? NULL : c->set.list + c->sent, &count, &len);
		int error;

		if (!last && count == 0) {
			free(bytes);
			c->sent++; /* one sample larger than a packet */
			continue;
		}
		error = send_packet(c, bytes, len);
		if (error == -EAGAIN)
			loop_fd_modify(&c->lf, EPOLLIN | EPOLLOUT);
		else if (error == 0 && last)
			request_done(c);
		if (error < 0 || last)
			return;
		c->sent += count;
	}
}

static void
samples_collected(void *context, struct sample_set *set)
{
	struct client *c = context;

	c->collection = NULL;
	c->set = *set;
	c->sent = 0;
	c->sending = true;
	send_samples(c);
}

static void
forward(struct client *c, enum td_room room, enum td_request what)
{
	struct mgmtd *m = c->m;

	c->forward_id = m->next_id++;
	if (mgmtd_request(m, room, c->forward_id, what, 0, NULL) < 0) {
		control_answer(c, -ENOTCONN,
		    room == TD_ROOM_VRRPD ? "vrrpd is down" : "syncd is down");
		return;
	}
	loop_timer_set(&c->timer, instant_add(loop_now(m->loop), FORWARD_LIMIT_NS));
}

static void
maintenance(struct client *c, const char *text)
{
	struct mgmtd *m = c->m;
	bool on = strcmp(text, "on") == 0;

	if (!on && strcmp(text, "off") != 0) {
		control_answer(c, -EINVAL, "on or off");
		return;
	}
	if (m->config->vrrp.mode == TD_VRRP_INDEPENDENT) {
		control_answer(c, -EOPNOTSUPP, "mode independent knows no maintenance");
		return;
	}
	log_notice("control", "maintenance %s requested", text);
	c->forward_id = m->next_id++;
	if (mgmtd_request(
		m, TD_ROOM_TANDEMD, c->forward_id, TD_REQ_MAINTENANCE, on, NULL) < 0)
		control_answer(c, -ENOTCONN, "tandemd does not answer");
	else
		loop_timer_set(
		    &c->timer, instant_add(loop_now(m->loop), FORWARD_LIMIT_NS));
}

static void
take_text(struct client *c, const char *text)
{
	if (c->config.len + strlen(text) > CONTROL_CONFIG_MAX) {
		control_answer(c, -EMSGSIZE, "the configuration is too large");
		return;
	}
	text_puts(&c->config, text);
	control_answer(c, c->config.failed ? -ENOMEM : 0, "");
}

static bool
is_root(const struct client *c)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
	       peer.uid == 0;
}

static void
begin_apply(struct client *c, bool check_only, bool alone)
{
	char *text = c->config.bytes;

	c->config = (struct text){ 0 };
	apply_request(
	    c->m, c, is_root(c), text != NULL ? text : strdup(""), check_only, alone);
}

static void
handle(struct client *c, const struct control_request *request)
{
	struct mgmtd *m = c->m;

	c->busy = true;
	c->request_id = request->id;
	switch (request->command) {
	case CONTROL_CMD_SAMPLES:
		c->collection = collect_status(m, samples_collected, c);
		if (c->collection == NULL)
			control_answer(c, -ENOMEM, "out of memory");
		break;
	case CONTROL_CMD_LIST:
		c->collection = collect_list(m,
		    strcmp(request->text, "flows") == 0 ? TD_ROOM_SYNCD : TD_ROOM_LBD,
		    request->text, samples_collected, c);
		if (c->collection == NULL)
			control_answer(c, -ENOMEM, "out of memory");
		break;
	case CONTROL_CMD_SWITCHOVER:
		log_notice("control", "switchover requested");
		forward(c, TD_ROOM_VRRPD, TD_REQ_SWITCHOVER);
		break;
	case CONTROL_CMD_RESYNC:
		log_notice("control", "resync requested");
		forward(c, TD_ROOM_SYNCD, TD_REQ_RESYNC);
		break;
	case CONTROL_CMD_CHECK:
		begin_apply(c, true, request->alone);
		break;
	case CONTROL_CMD_APPLY:
		log_notice("control", "apply requested%s",
		    request->alone ? " for this node alone" : "");
		begin_apply(c, false, request->alone);
		break;
	case CONTROL_CMD_TEXT:
		take_text(c, request->text);
		break;
	case CONTROL_CMD_MAINTENANCE:
		maintenance(c, request->text);
		break;
	case CONTROL_CMD_NONE:
	case CONTROL_CMD_COUNT:
		control_answer(
		    c, -EOPNOTSUPP, "this version does not know the command");
		break;
	}
}

static void
on_client(struct loop_fd *lf, uint32_t events)
{
	static uint8_t buf[CONTROL_BYTES_MAX];
	struct client *c = lf->context;
	struct control_request request;
	ssize_t n;

	if ((events & EPOLLOUT) != 0 && c->sending) {
		loop_fd_modify(&c->lf, EPOLLIN);
		send_samples(c);
		return;
	}
	n = recv(c->fd, buf, sizeof(buf), MSG_DONTWAIT | MSG_TRUNC);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		client_close(c);
		return;
	}
	if (c->busy || (size_t)n > sizeof(buf) ||
	    !control_request_decode(buf, (size_t)n, &request)) {
		c->m->control_rejected++;
		log_limited(LOG_LV_WARN, "control", 1, "client dropped: %s",
		    c->busy ? "second request before the answer"
			    : "undecodable request");
		client_close(c);
		return;
	}
	handle(c, &request);
	free(request.text);
}

static void
on_client_timer(struct loop_timer *timer)
{
	struct client *c = timer->context;

	if (c->forward_id != 0)
		control_answer(c, -ETIMEDOUT, "no answer within 5 s");
	else
		client_close(c);
}

static void
on_listen(struct loop_fd *lf, uint32_t events)
{
	struct mgmtd *m = lf->context;
	int fd = accept4(lf->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct client *c;

	(void)events;
	if (fd < 0)
		return;
	c = m->client_count < CLIENTS_MAX ? calloc(1, sizeof(*c)) : NULL;
	if (c == NULL || loop_fd_add(m->loop, &c->lf, fd, EPOLLIN, on_client, c) < 0) {
		m->control_rejected++;
		free(c);
		close(fd);
		return;
	}
	c->m = m;
	c->fd = fd;
	c->next = m->clients;
	m->clients = c;
	m->client_count++;
	loop_timer_init(m->loop, &c->timer, on_client_timer, c);
	loop_timer_set(&c->timer, instant_add(loop_now(m->loop), IDLE_LIMIT_NS));
}

void
control_open(struct mgmtd *m, int listen_fd)
{
	control_close(m);
	m->control_listen = listen_fd;
	if (loop_fd_add(m->loop, &m->control_lf, listen_fd, EPOLLIN, on_listen, m) < 0)
		log_err("control", "the control socket cannot be watched");
}

void
control_close(struct mgmtd *m)
{
	while (m->clients != NULL)
		client_close(m->clients);
	if (m->control_listen < 0)
		return;
	loop_fd_remove(&m->control_lf);
	close(m->control_listen);
	m->control_listen = -1;
}

void
control_room_reply(struct mgmtd *m, const struct td_msg_reply *reply)
{
	for (struct client *c = m->clients; c != NULL; c = c->next) {
		if (c->forward_id != 0 && c->forward_id == reply->id) {
			control_answer(c, reply->status, reply->text);
			return;
		}
	}
}
