"""The on-disk layout of a mailbox's index.

Three files share one generation number and live beside the mail they describe. All of them
can be rebuilt from the mail; a change of any structure here raises VERSION, and an index of
another version is rebuilt.

pymaild.index   Header (HEADER_SIZE octets), then Record rows in ascending UID order
pymaild.log     FileHead, then Change entries, one transaction sharing one modseq
pymaild.cache   FileHead, then file names and cache entries, immutable once written
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    #define PM_BARRIER() __sync_synchronize()
    #define PM_BEHIND (1ULL << 63)
    /* A multiply-and-rotate mix over 64-bit words: it detects damage, it does not authenticate.
       Long data goes four ways side by side, since each step waits for the one before it. */
    static inline uint64_t pm_mix(uint64_t h, const char *at) {
        uint64_t word;
        memcpy(&word, at, 8);
        h = (h ^ word) * 0xFF51AFD7ED558CCDULL;
        return (h << 29) | (h >> 35);
    }
    static inline uint32_t pm_check(const void *data, size_t words) {
        const char *p = (const char *)data, *end = p + 8 * words;
        uint64_t h = 0x9E3779B97F4A7C15ULL;
        if (words >= 16) {
            uint64_t h4[4] = {h, h + 1, h + 2, h + 3};
            for (; end - p >= 32; p += 32) {
                h4[0] = pm_mix(h4[0], p);
                h4[1] = pm_mix(h4[1], p + 8);
                h4[2] = pm_mix(h4[2], p + 16);
                h4[3] = pm_mix(h4[3], p + 24);
            }
            for (int i = 0; i < 4; i++)
                h = pm_mix(h, (const char *)&h4[i]);
        }
        for (; p < end; p += 8)
            h = pm_mix(h, p);
        h ^= h >> 32;
        return (uint32_t)h;
    }
    """
    void PM_BARRIER() nogil
    const uint64_t BEHIND "PM_BEHIND"  # in Record.place: the file's name says other flags than the row
    uint32_t pm_check(const void* data, size_t words) nogil

cdef enum:
    CHECKED_WORDS = 11     # of a Record, up to its check
    CHANGE_WORDS = 4       # of a Change, up to its check
    SPINS = 10000          # looks at a header in change before the lock is asked

cdef enum:
    VERSION = 5
    HEADER_SIZE = 8192
    KEYWORD_OFFSET = 1024
    KEYWORD_SIZE = 128
    KEYWORD_LIMIT = 26
    HEAD_SIZE = 32

cdef enum:  # Record.flags above the five system flags of IMAP
    SYSTEM_MASK = 0x1F
    SEEN = 1
    DELETED = 8
    IN_NEW = 0x100  # the file lies in new/: \Recent to the next session that claims it

cdef enum:  # Record.place where BEHIND is set
    PLACE_FLAGS = 0x1FF    # of these bits, and the keywords above them
    PLACE_KEYWORDS = 16

cdef enum:  # Change.kind
    ADD = 1
    FLAGS = 2
    EXPUNGE = 3
    MOVE = 4  # from new/ to cur/: nothing a client is told
    TOUCH = 5  # something that belongs to the mailbox and to no message of it

cdef packed struct FileHead:
    char magic[8]
    uint32_t version
    uint32_t spare
    uint64_t generation
    uint64_t reserved

cdef packed struct Header:
    char magic[8]
    uint32_t version
    uint32_t record_size
    uint64_t generation
    char boot[16]          # the kernel's boot id: another one means pages may be missing
    uint32_t sequence      # odd while a writer changes what stands below and in the rows
    uint32_t superseded    # a newer index has taken this one's place
    uint32_t uidvalidity
    uint32_t uidnext
    uint64_t snapshot      # number of the last transaction: HIGHESTMODSEQ
    uint64_t rows
    uint64_t dead          # rows whose message is expunged
    uint64_t last_dead     # row + 1 of the youngest tombstone, 0 for none
    uint64_t log_end
    uint64_t cache_end     # of names; cache entries may lie beyond
    uint64_t messages
    uint64_t unseen
    uint64_t recent
    uint64_t deleted
    int64_t new_stamp      # mtime of new/ and cur/ in ns, as of the last scan or own change
    int64_t cur_stamp
    int64_t dirty          # time in ns since which an outside change may hide behind our own
    uint32_t keywords      # how many of the slots at KEYWORD_OFFSET are in use
    uint32_t spare
    uint64_t log_floor     # transactions up to this one may be missing in the log
    uint64_t begun         # transaction at which these files began: no older tombstone is here
    uint64_t storage       # octets of all files
    uint64_t deleted_storage  # octets of the files of messages marked as deleted
    int64_t oldest         # when the oldest tombstone's message went, seconds since 1970
    int64_t behind         # since when rows have what the mail does not say yet, ns since 1970; 0: none
    uint64_t behind_first  # among which rows these are
    uint64_t behind_end
    uint64_t found_from    # from this UID on names tell what rows that were lost had, 0: none were
    uint64_t cache_looked  # cache_end when somebody last looked how much of it is in use

cdef packed struct Record:
    uint32_t uid
    uint32_t flags
    uint64_t keywords
    uint64_t modseq        # transaction that last changed this row
    uint64_t created       # transaction in which the message appeared
    uint64_t expunged      # transaction in which it went, 0 while it lives
    int64_t date           # INTERNALDATE, seconds since 1970
    int64_t save_date
    uint64_t size          # octets of the file
    uint64_t name_offset   # in the cache file
    uint32_t name_length
    uint32_t name_check    # over the name, zeros added up to a multiple of 8
    uint64_t previous_dead # row + 1 of the tombstone before this one
    uint32_t check         # over all above
    uint32_t cache_length
    uint64_t wire_size     # octets in CRLF form, 0 while unknown; set without the lock
    uint64_t cache_offset  # 0 while nothing is cached; set without the lock
    int64_t went           # when the message was expunged, seconds since 1970
    uint64_t place         # what the store needs to find the message; set without the lock

cdef packed struct Change:
    uint64_t modseq
    uint32_t row
    uint32_t uid
    uint32_t kind
    uint32_t flags
    uint64_t keywords
    uint32_t check
    uint32_t spare
