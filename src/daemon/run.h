// The commands, one function each; the table (command.h) names them. Each prints its answer to the standard
// output and errors to the standard error.
#pragma once

#include "daemon/command.h"

namespace sallyport::daemon {

// serve_edge.cc, serve_core.cc: the two roles; they return when they have ended.
Exit run_edge(const Invocation& invocation);
Exit run_core(const Invocation& invocation);

// check_config.cc, check_remote.cc
Exit run_check_config(const Invocation& invocation);
Exit run_check_dns(const Invocation& invocation);
Exit run_check_tls(const Invocation& invocation);
Exit run_check_domain(const Invocation& invocation);

// ask.cc: questions and orders for a running node.
Exit run_status(const Invocation& invocation);
Exit run_connections(const Invocation& invocation);
Exit run_explain(const Invocation& invocation);
Exit run_policy_show(const Invocation& invocation);
Exit run_policy_test(const Invocation& invocation);
Exit run_policy_diff(const Invocation& invocation);
Exit run_policy_apply(const Invocation& invocation);
Exit run_reload(const Invocation& invocation);
Exit run_drain(const Invocation& invocation);
Exit run_log_level(const Invocation& invocation);

// queue_commands.cc: the durable queue of a core.
Exit run_queue_list(const Invocation& invocation);
Exit run_queue_shape(const Invocation& invocation);
Exit run_queue_show(const Invocation& invocation);
Exit run_queue_retry(const Invocation& invocation);
Exit run_queue_purge(const Invocation& invocation);

// publish_commands.cc: records and firewall rules for others to set.
Exit run_dns_records(const Invocation& invocation);
Exit run_ports(const Invocation& invocation);

// keys.cc
Exit run_cert_list(const Invocation& invocation);
Exit run_cert_csr(const Invocation& invocation);
Exit run_keygen(const Invocation& invocation);

// help.cc
Exit run_help(const Invocation& invocation);
Exit run_version(const Invocation& invocation);

}  // namespace sallyport::daemon
