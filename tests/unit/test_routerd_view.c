/* What people and programs read: metrics, tables, JSON, the status page. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "routerd/core/metrics.h"
#include "routerd/core/pivot.h"
#include "routerd/core/report.h"
#include "routerd/core/section.h"

static bool
all(const struct sample *sample)
{
	(void)sample;
	return true;
}

static void
put(struct sample_set *set, const char *name, enum td_sample_type type, double number,
    const char *key, const char *value)
{
	samples_put(set, TD_ROOM_LBD, type, name, number, key, value, NULL);
}

static void
expect(struct text *out, const char *expected)
{
	assert_false(out->failed);
	assert_string_equal(out->bytes != NULL ? out->bytes : "", expected);
	text_free(out);
}

static void
test_metrics_one_help_and_type_per_family(void **state)
{
	struct sample_set set = { 0 };
	struct text out = { 0 };

	(void)state;
	put(&set, "tandem_term", TD_GAUGE, 7, NULL, NULL);
	put(&set, "tandem_room_up", TD_GAUGE, 1, "room", "vrrpd");
	put(&set, "tandem_nat_drops_total", TD_COUNTER, 12345678901.0, NULL, NULL);
	put(&set, "tandem_room_up", TD_GAUGE, 0, "room", "syncd");
	metrics_render(&out, &set, "blue");
	expect(&out, "# HELP tandem_nat_drops_total See docs/operations.md.\n"
		     "# TYPE tandem_nat_drops_total counter\n"
		     "tandem_nat_drops_total{instance=\"blue\"} 12345678901\n"
		     "# HELP tandem_room_up 1 if the process answered this scrape.\n"
		     "# TYPE tandem_room_up gauge\n"
		     "tandem_room_up{instance=\"blue\",room=\"vrrpd\"} 1\n"
		     "tandem_room_up{instance=\"blue\",room=\"syncd\"} 0\n"
		     "# HELP tandem_term Election term of this node.\n"
		     "# TYPE tandem_term gauge\n"
		     "tandem_term{instance=\"blue\"} 7\n");
	samples_free(&set);
}

static void
test_metrics_a_histogram_is_one_family(void **state)
{
	struct sample_set set = { 0 };
	struct text out = { 0 };

	(void)state;
	put(&set, "tandem_x_seconds_bucket", TD_HISTOGRAM_BUCKET, 3, "le", "0.001");
	put(&set, "tandem_x_seconds_bucket", TD_HISTOGRAM_BUCKET, 4, "le", "+Inf");
	put(&set, "tandem_x_seconds_sum", TD_HISTOGRAM_BUCKET, 0.25, NULL, NULL);
	put(&set, "tandem_x_seconds_count", TD_HISTOGRAM_BUCKET, 4, NULL, NULL);
	metrics_render(&out, &set, "b");
	expect(&out, "# HELP tandem_x_seconds See docs/operations.md.\n"
		     "# TYPE tandem_x_seconds histogram\n"
		     "tandem_x_seconds_bucket{instance=\"b\",le=\"0.001\"} 3\n"
		     "tandem_x_seconds_bucket{instance=\"b\",le=\"+Inf\"} 4\n"
		     "tandem_x_seconds_count{instance=\"b\"} 4\n"
		     "tandem_x_seconds_sum{instance=\"b\"} 0.25\n");
	samples_free(&set);
}

static void
test_metrics_label_values_are_escaped_and_bad_names_left_out(void **state)
{
	struct sample_set set = { 0 };
	struct text out = { 0 };

	(void)state;
	put(&set, "tandem_a", TD_INFO, 1, "text", "a \"b\"\\\n}");
	put(&set, "tandem b", TD_GAUGE, 1, NULL, NULL);
	put(&set, "9tandem", TD_GAUGE, 1, NULL, NULL);
	put(&set, "tandem_c", TD_GAUGE, 1, "instance", "forged");
	metrics_render(&out, &set, "b");
	expect(&out, "# HELP tandem_a See docs/operations.md.\n"
		     "# TYPE tandem_a gauge\n"
		     "tandem_a{instance=\"b\",text=\"a \\\"b\\\"\\\\\\n}\"} 1\n"
		     "# HELP tandem_c See docs/operations.md.\n"
		     "# TYPE tandem_c gauge\n"
		     "tandem_c{instance=\"b\"} 1\n");
	samples_free(&set);
}

static void
test_tables_a_row_per_thing_a_column_per_metric(void **state)
{
	struct sample_set set = { 0 };
	struct text out = { 0 };

	(void)state;
	put(&set, "tandem_lb_server_up", TD_GAUGE, 1, "server", "s1");
	put(&set, "tandem_lb_server_up", TD_GAUGE, 0, "server", "server-two");
	put(&set, "tandem_lb_server_weight", TD_GAUGE, 256, "server", "s1");
	put(&set, "tandem_lb_server_connect_seconds", TD_GAUGE, 0.0125, "server", "s1");
	put(&set, "tandem_lb_flows", TD_GAUGE, 12, NULL, NULL);
	put(&set, "tandem_lb_memory_bytes", TD_GAUGE, 3 * 1024 * 1024, NULL, NULL);
	pivot_tables(&out, &set, all, "tandem_lb_");
	expect(&out, "SERVER      UP  WEIGHT  CONNECT\n"
		     "s1           1     256  12.5 ms\n"
		     "server-two   0       -        -\n"
		     "\n"
		     "flows         12\n"
		     "memory_bytes  3.0 MiB\n");
	samples_free(&set);
}

static void
test_tables_things_that_only_share_a_label_name_stand_apart(void **state)
{
	struct sample_set set = { 0 };
	struct text out = { 0 };

	(void)state;
	put(&set, "tandem_a_total", TD_COUNTER, 1, "reason", "one");
	put(&set, "tandem_b_total", TD_COUNTER, 2, "reason", "two");
	pivot_tables(&out, &set, all, "tandem_");
	expect(&out, "REASON  A\n"
		     "one     1\n"
		     "\n"
		     "REASON  B\n"
		     "two     2\n");
	samples_free(&set);
}

static void
test_tables_rows_of_counters_that_never_counted_are_counted(void **state)
{
	struct sample_set set = { 0 };
	struct text out = { 0 };

	(void)state;
	put(&set, "tandem_a_total", TD_COUNTER, 0, "reason", "one");
	put(&set, "tandem_a_total", TD_COUNTER, 0, "reason", "two");
	put(&set, "tandem_a_total", TD_COUNTER, 5, "reason", "three");
	put(&set, "tandem_a_total", TD_COUNTER, 0, "reason", "four");
	put(&set, "tandem_a_total", TD_COUNTER, 0, "reason", "five");
	pivot_tables(&out, &set, all, "tandem_");
	expect(&out, "REASON  A\n"
		     "three   5\n"
		     "(4 more, all zero)\n");
	samples_free(&set);
}

static void
test_tables_a_rule_that_never_matched_is_still_a_rule(void **state)
{
	static const char *const rules[] = { "a", "b", "c", "d", "e" };
	struct sample_set set = { 0 };
	struct text out = { 0 };

	(void)state;
	for (int i = 0; i < 5; i++)
		put(&set, "tandem_nat_rule_packets_total", TD_COUNTER, 0, "rule",
		    rules[i]);
	pivot_tables(&out, &set, all, "tandem_nat_");
	expect(&out, "RULE  RULE PACKETS\n"
		     "a                0\n"
		     "b                0\n"
		     "c                0\n"
		     "d                0\n"
		     "e                0\n");
	samples_free(&set);
}

static void
test_tables_too_wide_for_a_line_stand_upright(void **state)
{
	static const char *const names[] = { "tandem_advertisements_received_total",
		"tandem_advertisements_dropped_total",
		"tandem_announcements_sent_total", "tandem_announcements_failed_total",
		"tandem_heard_seconds" };
	struct sample_set set = { 0 };
	struct text out = { 0 };

	(void)state;
	for (int i = 0; i < 5; i++) {
		put(&set, names[i], TD_GAUGE, i == 4 ? -1 : i, "interface", "wan0");
		put(&set, names[i], TD_GAUGE, 100 * i, "interface", "lan0");
	}
	pivot_tables(&out, &set, all, "tandem_");
	expect(&out, "INTERFACE                 wan0   lan0\n"
		     "ADVERTISEMENTS RECEIVED      0      0\n"
		     "ADVERTISEMENTS DROPPED       1    100\n"
		     "ANNOUNCEMENTS SENT           2    200\n"
		     "ANNOUNCEMENTS FAILED         3    300\n"
		     "HEARD                    never  7 min\n");
	samples_free(&set);
}

static void
test_help_is_found_by_bisection(void **state)
{
	(void)state;
	assert_string_equal(metrics_help("tandem_alarm"),
	    "1 while the alarm named by the label is raised.");
	assert_string_equal(metrics_help("tandem_vrrp_witness_unsent_total"),
	    "Witness messages that could not be sent.");
	assert_string_equal(metrics_help("tandem_term"), "Election term of this node.");
	assert_string_equal(metrics_help("tandem_unknown"), "See docs/operations.md.");
}

static void
test_json_holds_everything(void **state)
{
	struct sample_set set = { 0 };
	struct text out = { 0 };

	(void)state;
	put(&set, "tandem_lb_flows", TD_GAUGE, 12, NULL, NULL);
	put(&set, "tandem_lb_up", TD_GAUGE, 1, "server", "s\"1");
	put(&set, "tandem_lb_rate", TD_GAUGE, 0.5, "server", "s\"1");
	put(&set, "tandem_lb_bind_info", TD_INFO, 1, "address", "\xff");
	pivot_json(&out, &set, all, "tandem_lb_");
	expect(&out,
	    "{\"values\": {\"flows\": 12}, \"tables\": [{\"labels\": [\"server\"], "
	    "\"rows\": [\n"
	    "  {\"server\": \"s\\\"1\", \"up\": 1, \"rate\": 0.5}]},\n"
	    "{\"name\": \"bind_info\", \"labels\": [\"address\"], \"rows\": [\n"
	    "  {\"address\": \"\\ufffd\"}]}]}");
	samples_free(&set);
}

/* As `tandemctl lb` gets them: once among all samples, once from the room itself. */
static void
test_json_what_was_said_twice_stands_once(void **state)
{
	struct sample_set set = { 0 };
	struct text out = { 0 };

	(void)state;
	for (int i = 1; i <= 2; i++) {
		put(&set, "tandem_lb_flows", TD_GAUGE, i, NULL, NULL);
		put(&set, "tandem_lb_role", TD_GAUGE, 3, NULL, NULL);
		put(&set, "tandem_lb_up", TD_GAUGE, i, "server", "s1");
	}
	pivot_json(&out, &set, all, "tandem_lb_");
	expect(&out,
	    "{\"values\": {\"flows\": 2, \"role\": 3}, \"tables\": [{\"labels\": "
	    "[\"server\"], \"rows\": [\n"
	    "  {\"server\": \"s1\", \"up\": 2}]}]}");
	samples_free(&set);
}

static void
test_a_metric_called_like_its_label_keeps_a_longer_name(void **state)
{
	struct sample_set set = { 0 };
	struct text out = { 0 };

	(void)state;
	put(&set, "tandem_vrrp_role", TD_GAUGE, 1, "role", "Backup");
	put(&set, "tandem_alarm", TD_GAUGE, 0, "alarm", "fence_off");
	pivot_json(&out, &set, all, "tandem_vrrp_");
	expect(&out,
	    "{\"values\": {}, \"tables\": [{\"labels\": [\"role\"], \"rows\": [\n"
	    "  {\"role\": \"Backup\", \"vrrp_role\": 1}]},\n"
	    "{\"labels\": [\"alarm\"], \"rows\": [\n"
	    "  {\"alarm\": \"fence_off\", \"tandem_alarm\": 0}]}]}");
	pivot_tables(&out, &set, all, "tandem_vrrp_");
	expect(&out, "ROLE    VRRP ROLE\n"
		     "Backup          1\n"
		     "\n"
		     "ALARM      TANDEM ALARM\n"
		     "fence_off             0\n");
	samples_free(&set);
}

static void
test_json_strings_are_valid_utf8_whatever_comes(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{ "gr\xc3\xbc\xc3\x9f", "\"gr\xc3\xbc\xc3\x9f\"" },
		{ "a\tb\x01\x7f\n", "\"a\\u0009b\\u0001\\u007f\\n\"" },
		{ "cut \xe2\x82", "\"cut \\ufffd\\ufffd\"" },
		{ "overlong \xc0\xaf", "\"overlong \\ufffd\\ufffd\"" },
		{ "surrogate \xed\xa0\x80", "\"surrogate \\ufffd\\ufffd\\ufffd\"" },
		{ "\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\"" },
		{ "\xf0\x9f\x98\x80", "\"\xf0\x9f\x98\x80\"" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct text out = { 0 };

		text_json_string(&out, rows[i].in);
		expect(&out, rows[i].out);
	}
}

static bool
raised(const struct sample_set *set, const char *alarm)
{
	const struct sample *s = samples_find(set, "tandem_alarm", "alarm", alarm);

	assert_non_null(s);
	return s->number == 1;
}

/* An Active node whose peer is there, in sync, with the same configuration. */
static void
healthy(struct sample_set *set)
{
	put(set, "tandem_info", TD_INFO, 1, "node", "r1");
	put(set, "tandem_role_info", TD_INFO, 1, "role", "Active");
	put(set, "tandem_peer_info", TD_INFO, 1, "role", "Backup");
	put(set, "tandem_peer_alive", TD_GAUGE, 1, NULL, NULL);
	put(set, "tandem_protected", TD_GAUGE, 1, NULL, NULL);
	put(set, "tandem_config_info", TD_INFO, 1, "digest", "aa");
	put(set, "tandem_config_peer_info", TD_INFO, 1, "digest", "aa");
	put(set, "tandem_room_up", TD_GAUGE, 1, "room", "vrrpd");
}

static void
test_hooks_have_a_line_if_there_are_any(void **state)
{
	struct sample_set set = { 0 };
	struct text out = { 0 };

	(void)state;
	healthy(&set);
	report_text(&out, &set, "lab");
	assert_null(strstr(out.bytes, "hooks"));
	text_free(&out);
	samples_put(&set, TD_ROOM_HOOKD, TD_INFO, "tandem_hook_last_info", 1, "hook",
	    "active", "role", "Active", "result", "timeout", NULL);
	samples_put(&set, TD_ROOM_HOOKD, TD_INFO, "tandem_hook_last_info", 1, "hook",
	    "notify", "role", "none", "result", "none", NULL);
	put(&set, "tandem_hook_running", TD_GAUGE, 1, NULL, NULL);
	put(&set, "tandem_hook_waiting", TD_GAUGE, 1, NULL, NULL);
	report_text(&out, &set, "lab");
	assert_non_null(strstr(out.bytes, "\nhooks       active timeout (Active), "
					  "notify not run yet; one runs, the next "
					  "waits\n"));
	text_free(&out);
	report_json(&out, &set, "lab");
	assert_non_null(strstr(out.bytes,
	    "\"hooks\": [{\"hook\": \"active\", \"role\": \"Active\", \"result\": "
	    "\"timeout\"}, {\"hook\": \"notify\", \"role\": \"none\", \"result\": "
	    "\"none\"}], \"hook_running\": true"));
	text_free(&out);
	samples_free(&set);
}

static void
test_alarms(void **state)
{
	static const struct {
		const char *name, *metric, *key, *value;
		double number;
		const char *alarm; /* NULL: none at all */
	} rows[] = {
		{ "healthy / none", "tandem_other", NULL, NULL, 0, NULL },
		{ "a process is silent", "tandem_room_up", "room", "vrrpd", 0,
		    "room_down" },
		{ "a room has another configuration", "tandem_room_config_stale",
		    "room", "vrrpd", 1, "config_stale" },
		{ "two deaths", "tandem_room_crash_loop", "room", "lbd", 1,
		    "crash_loop" },
		{ "peer not heard", "tandem_peer_alive", NULL, NULL, 0, "peer_lost" },
		{ "peer behind", "tandem_protected", NULL, NULL, 0, "not_protected" },
		{ "other digest", "tandem_config_peer_info", "digest", "bb", 1,
		    "generation_differs" },
		{ "peer Active too", "tandem_peer_info", "role", "Active", 1,
		    "both_active" },
		{ "fence not loaded", "tandem_supervisor_fence_loaded", NULL, NULL, 0,
		    "fence_off" },
		{ "no carrier", "tandem_vrrp_alarm", "alarm", "link_down", 1,
		    "link_down" },
		{ "no carrier no more", "tandem_vrrp_alarm", "alarm", "link_down", 0,
		    NULL },
		{ "servers gone", "tandem_lb_balancer_active_servers", "balancer",
		    "web", 0, "no_server" },
		{ "a script without an answer", "tandem_track_silent", "script",
		    "uplink", 1, "track_silent" },
		{ "a script that fails", "tandem_vrrp_alarm", "alarm", "unfit", 1,
		    "unfit" },
		{ "work on the node", "tandem_vrrp_alarm", "alarm", "maintenance", 1,
		    "maintenance" },
		{ "a hook that failed", "tandem_hook_failing", "hook", "active", 1,
		    "hook_failed" },
		{ "balancer not loaded", "tandem_supervisor_balancer_loaded", NULL,
		    NULL, 0, "balancer_off" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sample_set set = { 0 };
		unsigned expected = rows[i].alarm != NULL;

		/* The first of a name counts, so what is wrong goes first. */
		put(&set, rows[i].metric, TD_GAUGE, rows[i].number, rows[i].key,
		    rows[i].value);
		healthy(&set);
		report_alarms(&set);
		if (report_alarm_count(&set) != expected ||
		    (expected && !raised(&set, rows[i].alarm)))
			fail_msg(
			    "%s: %u alarms", rows[i].name, report_alarm_count(&set));
		if (expected)
			assert_true(report_alarm_meaning(rows[i].alarm)[0] != '\0');
		samples_free(&set);
	}
}

static void
test_the_page_escapes_what_it_shows(void **state)
{
	struct sample_set set = { 0 };
	struct text out = { 0 };

	(void)state;
	samples_put(&set, TD_ROOM_MGMTD, TD_INFO, "tandem_role_info", 1, "role",
	    "Active", "reason", "<script>", NULL);
	report_html(&out, &set, "a&b");
	assert_null(strstr(out.bytes, "<script>"));
	assert_non_null(strstr(out.bytes, "reason &lt;script&gt;"));
	assert_non_null(strstr(out.bytes, "<title>a&amp;b - Active</title>"));
	text_free(&out);
	samples_free(&set);
}

static void
test_sections(void **state)
{
	char nat_name[] = "tandem_nat_drops_total";
	struct sample nat = { .room = TD_ROOM_LBD, .name = nat_name };
	char lb_name[] = "tandem_lb_flows";
	struct sample lb = { .room = TD_ROOM_LBD, .name = lb_name };
	char own_name[] = "tandem_room_messages_total";
	struct sample own = { .room = TD_ROOM_LBD, .name = own_name };

	(void)state;
	assert_null(section_find("nothing"));
	assert_true(section_find("nat")->filter(&nat));
	assert_false(section_find("nat")->filter(&lb));
	assert_true(section_find("lb")->filter(&lb));
	assert_false(section_find("lb")->filter(&nat));
	assert_false(section_find("lb")->filter(&own));
	assert_false(section_find("sync")->filter(&lb));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_metrics_one_help_and_type_per_family),
		cmocka_unit_test(test_metrics_a_histogram_is_one_family),
		cmocka_unit_test(
		    test_metrics_label_values_are_escaped_and_bad_names_left_out),
		cmocka_unit_test(test_tables_a_row_per_thing_a_column_per_metric),
		cmocka_unit_test(
		    test_tables_things_that_only_share_a_label_name_stand_apart),
		cmocka_unit_test(
		    test_tables_rows_of_counters_that_never_counted_are_counted),
		cmocka_unit_test(test_tables_a_rule_that_never_matched_is_still_a_rule),
		cmocka_unit_test(test_tables_too_wide_for_a_line_stand_upright),
		cmocka_unit_test(test_help_is_found_by_bisection),
		cmocka_unit_test(test_json_holds_everything),
		cmocka_unit_test(test_json_what_was_said_twice_stands_once),
		cmocka_unit_test(
		    test_a_metric_called_like_its_label_keeps_a_longer_name),
		cmocka_unit_test(test_json_strings_are_valid_utf8_whatever_comes),
		cmocka_unit_test(test_alarms),
		cmocka_unit_test(test_hooks_have_a_line_if_there_are_any),
		cmocka_unit_test(test_the_page_escapes_what_it_shows),
		cmocka_unit_test(test_sections),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
