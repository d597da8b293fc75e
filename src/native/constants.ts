/**
 * Numbers of the Linux ABI that are the same on every 64-bit architecture Node runs on. Names are the kernel's;
 * sources: <asm-generic/fcntl.h>, <asm-generic/socket.h>, <linux/in.h>, <linux/tcp.h>, <linux/eventpoll.h>.
 */

export const AF_UNIX = 1;
export const AF_NETLINK = 16;

export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
export const SOCK_NONBLOCK = 0o4000;
export const SOCK_CLOEXEC = 0o2000000;

export const IPPROTO_IP = 0;
export const IPPROTO_TCP = 6;
export const IPPROTO_IPV6 = 41;
export const IPPROTO_MPTCP = 262;

export const SOL_SOCKET = 1;
export const SO_REUSEADDR = 2;
export const SO_ERROR = 4;
export const SO_SNDBUF = 7;
export const SO_RCVBUF = 8;
export const SO_KEEPALIVE = 9;
export const SO_LINGER = 13;
export const SO_REUSEPORT = 15;
export const SO_BINDTODEVICE = 25;
export const SO_MARK = 36;
export const SO_SNDBUFFORCE = 32;
export const SO_RCVBUFFORCE = 33;
export const SO_PROTOCOL = 38;

export const SO_NETNS_COOKIE = 71;

export const IPV6_V6ONLY = 26;
export const IPV6_RECVPKTINFO = 49;
export const IPV6_PKTINFO = 50;
/** Network byte order. */
export const IP_UNICAST_IF = 50;
export const IPV6_UNICAST_IF = 76;
export const IP_FREEBIND = 15;
export const IPV6_FREEBIND = 78;
export const IP_MTU_DISCOVER = 10;
export const IPV6_MTU_DISCOVER = 23;
export const IP_PMTUDISC_DO = 2;
export const IP_PMTUDISC_PROBE = 3;
export const IP_MTU = 14;
/** <linux/netfilter_ipv4.h>, <linux/netfilter_ipv6/ip6_tables.h>: one number for both levels. */
export const SO_ORIGINAL_DST = 80;
export const IPV6_MTU = 24;

export const SOL_UDP = 17;
export const UDP_SEGMENT = 103;
export const UDP_GRO = 104;

export const TCP_NODELAY = 1;
export const TCP_KEEPIDLE = 4;
export const TCP_KEEPINTVL = 5;
export const TCP_KEEPCNT = 6;
export const TCP_INFO = 11;
export const TCP_IS_MPTCP = 43;

export const EPOLLIN = 0x001;
export const EPOLLOUT = 0x004;
export const EPOLLERR = 0x008;
export const EPOLLHUP = 0x010;
export const EPOLLRDHUP = 0x2000;
/** Edge-triggered; unsigned, because the bit is the sign bit of an int. */
export const EPOLLET = 0x80000000;

export const SHUT_WR = 1;

export const MSG_PEEK = 0x02;
export const MSG_TRUNC = 0x20;
export const MSG_DONTWAIT = 0x40;
export const MSG_NOSIGNAL = 0x4000;

export const O_RDONLY = 0;
export const O_RDWR = 2;
export const O_NONBLOCK = 0o4000;
export const O_CLOEXEC = 0o2000000;

export const F_DUPFD_CLOEXEC = 1030;
export const F_SETPIPE_SZ = 1031;

export const LOCK_EX = 2;
export const LOCK_NB = 4;

export const SPLICE_F_MOVE = 1;
export const SPLICE_F_NONBLOCK = 2;

export const CLONE_NEWNET = 0x40000000;

export const MS_BIND = 4096;
export const MNT_DETACH = 2;
