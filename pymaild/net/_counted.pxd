"""Octets that the kernel counts: recvmmsg(2) and sendmmsg(2) write how many there were into the
header they are given, which may be shared memory, before the process can be killed.
"""

cdef extern from *:
    """
    #include <sys/socket.h>
    /* The compiler moves nothing across; a process that dies leaves its stores in order. */
    #define barrier() __atomic_signal_fence(__ATOMIC_SEQ_CST)
    """
    void barrier() noexcept nogil

cdef extern from "sys/socket.h":
    struct iovec:
        void *iov_base
        size_t iov_len
    struct msghdr:
        iovec *msg_iov
        size_t msg_iovlen
    struct mmsghdr:
        msghdr msg_hdr
        unsigned int msg_len
    int recvmmsg(int fd, mmsghdr *messages, unsigned int count, int flags, void *timeout) nogil
    int sendmmsg(int fd, mmsghdr *messages, unsigned int count, int flags) nogil
    enum: MSG_DONTWAIT
    enum: MSG_NOSIGNAL
