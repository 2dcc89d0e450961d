#include <errno.h>
#include <time.h>
#include <linux/errqueue.h>
#include <linux/falloc.h>
#include <netinet/in.h>
#include <pthread.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <uv.h>

/* What Swift cannot call: variadic functions and the macros of control messages. */

/* Names the calling thread; the system keeps 15 bytes. */
static inline void apus_name_thread(const char *name) {
    prctl(PR_SET_NAME, name, 0, 0, 0);
}

/* Takes one entry off a UDP socket's error queue. Returns its errno and to whom the datagram was sent that it is
   about (family AF_UNSPEC if the kernel does not say), or 0 if the queue is empty. */
static inline int apus_take_socket_error(int fd, struct sockaddr_storage *destination) {
    char control[512];
    struct msghdr message = {0};
    message.msg_name = destination;
    message.msg_namelen = sizeof *destination;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    memset(destination, 0, sizeof *destination);
    if (recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) return 0;
    if (message.msg_namelen == 0) destination->ss_family = AF_UNSPEC;
    for (struct cmsghdr *part = CMSG_FIRSTHDR(&message); part; part = CMSG_NXTHDR(&message, part)) {
        if ((part->cmsg_level == SOL_IP && part->cmsg_type == IP_RECVERR) ||
            (part->cmsg_level == SOL_IPV6 && part->cmsg_type == IPV6_RECVERR)) {
            const struct sock_extended_err *error = (const struct sock_extended_err *)CMSG_DATA(part);
            return error->ee_errno ? (int)error->ee_errno : EIO;
        }
    }
    return EIO;
}

/* glibc declares it for _GNU_SOURCE only, which the module of its headers is built without. */
extern int fallocate(int fd, int mode, off_t offset, off_t length);

/* Reserves room on the disk from the file's begin on; its length stays. 0, or -1 and errno. */
static inline int apus_reserve(int fd, off_t length) {
    return fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, length);
}
