/** Texts that several tests of this folder begin with; the connection is the one recorded from the original. */

export const INTERFACE_TEXT = `[general]
tunnel_num = 1
accept_remote = 1
cmdport_local = 60456
cmd_timeout = 25

[tun_0]
name = tun0
mtu = 1440
ipv4_addr = 10.0.0.2/24
ipv6_addr = fec0::2/64
`;

/** The body of the recorded message "connection create", which is what \`save\` writes. */
export const SAVED_TEXT = `;;;;;;;#################### Multipath Connection Information: ###############

[connection]
name             = conn4_A
permission       = 3
ip_ver           = 4
ip_local         = 10.0.0.2
local_port       = 23456
local_cmd_port   = 60456
ip_remote        = 10.0.0.3
remote_port      = 23456
remote_cmd_port  = 60456
path_count       = 2
network_count    = 2
status           = 0
reorder_window   = 900
max_buffdelay_msec = 300
auth_type        = 0

########################## PATHS ############################

[path_0]
interface_name   = eth1
ip_ver           = 4
private_ipaddr   = 10.1.1.2
public_ipaddr    = 10.1.1.2
gw_ipaddr        = 10.1.1.2
remote_ipaddr    = 10.1.1.3
keepalive_time   = 5
dead_time        = 11
weight_in        = 1
weight_out       = 10
status           = 0

[path_1]
interface_name   = eth2
ip_ver           = 4
private_ipaddr   = 10.2.2.2
public_ipaddr    = 10.2.2.2
gw_ipaddr        = 10.2.2.2
remote_ipaddr    = 10.2.2.3
keepalive_time   = 5
dead_time        = 11
weight_in        = 1
weight_out       = 10
status           = 0

####################### NETWORKS #####################################

[net_0]
ip_ver           = 4
src_addr         = 11.1.1.0/24
dst_addr         = 21.1.1.0/24

[net_1]
ip_ver           = 4
src_addr         = 12.1.1.0/24
dst_addr         = 22.1.1.0/24
`;
