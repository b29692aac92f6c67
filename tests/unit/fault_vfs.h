/* A SQLite VFS over the usual one that fails on demand: full disk, I/O errors, writes that are dropped or torn when "the power goes". */
#ifndef FAULT_VFS_H
#define FAULT_VFS_H
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static struct fault {
    atomic_bool full, broken;
    atomic_long writes; /* so far */
    atomic_long power;  /* from this write on nothing gets to the disk any more; half of this very one does; 0: never */
    atomic_long syncs;
} fault;

typedef struct fault_file {
    sqlite3_file base;
    sqlite3_file *real; /* behind it */
} fault_file;

static sqlite3_vfs *fault_real;
static sqlite3_io_methods fault_methods;

static sqlite3_file *behind(sqlite3_file *f)
{
    return ((fault_file *)f)->real;
}

static int fault_write(sqlite3_file *f, const void *p, int len, sqlite3_int64 at)
{
    long n = atomic_fetch_add(&fault.writes, 1) + 1, power = atomic_load(&fault.power);

    if (atomic_load(&fault.full)) return SQLITE_FULL;
    if (atomic_load(&fault.broken)) return SQLITE_IOERR_WRITE;
    if (power && n > power) return SQLITE_OK; /* the system took it; nobody will read it again */
    if (power && n == power) len = len / 2;   /* torn */
    return len ? behind(f)->pMethods->xWrite(behind(f), p, len, at) : SQLITE_OK;
}

static int fault_sync(sqlite3_file *f, int flags)
{
    atomic_fetch_add(&fault.syncs, 1);
    if (atomic_load(&fault.broken)) return SQLITE_IOERR_FSYNC;
    return behind(f)->pMethods->xSync(behind(f), flags);
}

static int fault_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    if (atomic_load(&fault.power) && atomic_load(&fault.writes) >= atomic_load(&fault.power)) return SQLITE_OK;
    return behind(f)->pMethods->xTruncate(behind(f), size);
}

#define PASS(name, args, ...)                                                                                          \
    static int fault_##name args                                                                                       \
    {                                                                                                                  \
        return behind(f)->pMethods->x##name(behind(f), __VA_ARGS__);                                                   \
    }
PASS(Read, (sqlite3_file * f, void *p, int len, sqlite3_int64 at), p, len, at)
PASS(FileSize, (sqlite3_file * f, sqlite3_int64 *out), out)
PASS(Lock, (sqlite3_file * f, int how), how)
PASS(Unlock, (sqlite3_file * f, int how), how)
PASS(CheckReservedLock, (sqlite3_file * f, int *out), out)
PASS(FileControl, (sqlite3_file * f, int op, void *arg), op, arg)
PASS(ShmMap, (sqlite3_file * f, int page, int size, int extend, void volatile **out), page, size, extend, out)
PASS(ShmLock, (sqlite3_file * f, int at, int n, int flags), at, n, flags)
PASS(ShmUnmap, (sqlite3_file * f, int gone), gone)
#undef PASS

static int fault_close(sqlite3_file *f)
{
    int rc = behind(f)->pMethods->xClose(behind(f));

    free(behind(f));
    return rc;
}
static int fault_sector(sqlite3_file *f) { return behind(f)->pMethods->xSectorSize(behind(f)); }
static int fault_device(sqlite3_file *f) { return behind(f)->pMethods->xDeviceCharacteristics(behind(f)); }
static void fault_barrier(sqlite3_file *f) { behind(f)->pMethods->xShmBarrier(behind(f)); }

static int fault_open(sqlite3_vfs *v, const char *name, sqlite3_file *f, int flags, int *out)
{
    fault_file *mine = (fault_file *)f;
    int rc;

    (void)v;
    mine->base.pMethods = NULL;
    mine->real = calloc(1, (size_t)fault_real->szOsFile);
    rc = fault_real->xOpen(fault_real, name, mine->real, flags, out);
    if (mine->real->pMethods) mine->base.pMethods = &fault_methods;
    else free(mine->real);
    return rc;
}

static int fault_delete(sqlite3_vfs *v, const char *name, int sync)
{
    (void)v;
    if (atomic_load(&fault.power) && atomic_load(&fault.writes) >= atomic_load(&fault.power)) return SQLITE_OK;
    return fault_real->xDelete(fault_real, name, sync);
}

static void fault_register(void)
{
    static sqlite3_vfs v;

    fault_real = sqlite3_vfs_find(NULL);
    v = *fault_real;
    v.zName = "fault";
    v.szOsFile = sizeof(fault_file);
    v.xOpen = fault_open;
    v.xDelete = fault_delete;
    fault_methods = (sqlite3_io_methods){2, fault_close, fault_Read, fault_write, fault_truncate, fault_sync, fault_FileSize, fault_Lock, fault_Unlock,
                                         fault_CheckReservedLock, fault_FileControl, fault_sector, fault_device, fault_ShmMap, fault_ShmLock,
                                         fault_barrier, fault_ShmUnmap, NULL, NULL};
    sqlite3_vfs_register(&v, 1);
}
#endif
