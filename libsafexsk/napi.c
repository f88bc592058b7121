/* SPDX-License-Identifier: BSD-2-Clause */
#include "napi.h"

#include "sysfs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Newer than some C libraries. */
#ifndef SO_PREFER_BUSY_POLL
#define SO_PREFER_BUSY_POLL 69
#endif
#ifndef SO_BUSY_POLL_BUDGET
#define SO_BUSY_POLL_BUDGET 70
#endif

#define BUDGET_DEFAULT 64u /* packets: what a driver's run takes from an interrupt */
#define BUDGET_MAX 65535u
#define BUSY_POLL_MAX_US 1000000u
#define DEFER_MAX 0x7fffffffu

/* ---- options --------------------------------------------------------------------------------------- */

static int check_without(const struct sxsk_socket_opts *o)
{
	const char *name = o->busy_poll_budget              ? "busy_poll_budget" :
			   o->napi_defer_hard_irqs          ? "napi_defer_hard_irqs" :
			   o->gro_flush_timeout_ns          ? "gro_flush_timeout_ns" :
			   o->flags & SXSK_SOCKET_KEEP_NAPI ? "SXSK_SOCKET_KEEP_NAPI" :
							      NULL;

	if (name)
		return sxsk_priv_fail(
			EINVAL, "%s is set, and busy_poll_us is 0: there is no busy polling", name);
	return 0;
}

int sxsk_priv_busy_poll_check(struct sxsk_socket_opts *o)
{
	if (!o->busy_poll_us)
		return check_without(o);
	if (o->busy_poll_us > BUSY_POLL_MAX_US)
		return sxsk_priv_fail(EINVAL, "busy_poll_us is %u: at most %u", o->busy_poll_us,
				      BUSY_POLL_MAX_US);
	if (o->busy_poll_budget > BUDGET_MAX)
		return sxsk_priv_fail(EINVAL, "busy_poll_budget is %u: at most %u packets",
				      o->busy_poll_budget, BUDGET_MAX);
	if (o->napi_defer_hard_irqs > DEFER_MAX)
		return sxsk_priv_fail(EINVAL, "napi_defer_hard_irqs is %u: at most %u",
				      o->napi_defer_hard_irqs, DEFER_MAX);
	if (o->flags & SXSK_SOCKET_KEEP_NAPI &&
	    (o->napi_defer_hard_irqs || o->gro_flush_timeout_ns))
		return sxsk_priv_fail(EINVAL,
				      "napi_defer_hard_irqs or gro_flush_timeout_ns is set, and "
				      "SXSK_SOCKET_KEEP_NAPI leaves these alone");
	if (!o->busy_poll_budget)
		o->busy_poll_budget = BUDGET_DEFAULT;
	o->flags |= SOCKET_BUSY_POLL;
	return 0;
}

/* ---- the socket ------------------------------------------------------------------------------------ */

static int set(const struct sxsk_priv_socket *s, int option, uint32_t value)
{
	const int number = (int)value;

	if (!setsockopt(s->fd, SOL_SOCKET, option, &number, sizeof(number)))
		return 0;
	if (errno == EPERM)
		return sxsk_priv_fail(EPERM, "busy polling needs CAP_NET_ADMIN (or root)");
	if (errno == ENOPROTOOPT)
		return sxsk_priv_fail(
			EOPNOTSUPP,
			"this kernel has no preferred busy polling: it needs Linux 5.11 "
			"and CONFIG_NET_RX_BUSY_POLL");
	return sxsk_priv_fail(errno, "cannot set busy polling up: %s", strerror(errno));
}

uint32_t sxsk_priv_napi_id(struct sxsk_priv_socket *s)
{
	int id = 0;
	socklen_t len = sizeof(id);

	(void)getsockopt(s->fd, SOL_SOCKET, SO_INCOMING_NAPI_ID, &id, &len);
	return (uint32_t)id;
}

/* ---- the interface --------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	int64_t usual;
} settings[] = {
	{ "napi_defer_hard_irqs", 2 },
	{ "gro_flush_timeout", 200000 }, /* ns */
};
#define SETTINGS (sizeof(settings) / sizeof(settings[0]))

/* What this process's sockets on an interface have in common. Under the registry's lock. */
struct sxsk_priv_napi {
	struct sxsk_priv_napi *next;
	uint32_t ifindex;
	uint32_t sockets;
	uint64_t netns;
	/* The files stay open: by then the interface may have another name or namespace, and the thread
	 * too. */
	struct {
		int fd;
		int64_t before, now;
	} setting[SETTINGS];
};

static bool write_number(int fd, int64_t number)
{
	char text[32];
	const int n = snprintf(text, sizeof(text), "%" PRId64, number);

	return pwrite(fd, text, (size_t)n, 0) == n;
}

static int settings_error(int err, const char *ifname, const char *what, const char *takes)
{
	if (err == EACCES)
		err = EPERM;
	return sxsk_priv_fail(
		err,
		"cannot %s %s's NAPI settings for busy polling (%s%s): have them set, and open with "
		"SXSK_SOCKET_KEEP_NAPI",
		what, ifname, err == EPERM ? takes : "", strerror(err));
}

static int change(struct sxsk_priv_napi *napi, unsigned i, int sysfs, const char *ifname,
		  uint32_t wish)
{
	int fd = sxsk_priv_sysfs_file(sysfs, ifname, settings[i].name, O_RDWR), denied = 0;
	int64_t found, target;

	if (fd < 0) { /* it may be set already */
		denied = -fd;
		fd = sxsk_priv_sysfs_file(sysfs, ifname, settings[i].name, O_RDONLY);
	}
	if (fd < 0)
		return settings_error(-fd, ifname, "open", "");
	napi->setting[i].fd = fd;
	found = sxsk_priv_sysfs_number(fd);
	if (found < 0)
		return settings_error((int)-found, ifname, "read", "");
	napi->setting[i].before = napi->setting[i].now = found;
	/* Without a wish, what somebody has set is left as it is. */
	target = wish ? wish : found > 0 ? found : settings[i].usual;
	if (found == target)
		return 0;
	if (denied || !write_number(fd, target))
		return settings_error(denied ? denied : errno, ifname, "change",
				      "they are root's, and it takes CAP_NET_ADMIN: ");
	napi->setting[i].now = target;
	return 0;
}

static void put_back(struct sxsk_priv_napi *napi)
{
	for (unsigned i = 0; i < SETTINGS; i++) {
		const int fd = napi->setting[i].fd;

		if (fd < 0)
			continue;
		/* Unless somebody has changed it since; or the interface is gone. */
		if (napi->setting[i].now != napi->setting[i].before &&
		    sxsk_priv_sysfs_number(fd) == napi->setting[i].now)
			(void)write_number(fd, napi->setting[i].before);
		close(fd);
	}
	free(napi);
}

static int change_all(struct sxsk_priv_napi *napi, const struct sxsk_priv_device_id *id,
		      const uint32_t wish[SETTINGS])
{
	const int sysfs = sxsk_priv_sysfs_open();
	int64_t found;
	int file, err = 0;

	if (sysfs < 0)
		return settings_error(-sysfs, id->name, "see", "it takes CAP_SYS_ADMIN: ");
	file = sxsk_priv_sysfs_file(sysfs, id->name, "ifindex", O_RDONLY);
	found = file < 0 ? file : sxsk_priv_sysfs_number(file);
	if (found == -ENOENT || (found >= 0 && found != id->ifindex))
		err = sxsk_priv_fail(ENODEV, "interface %s is gone", id->name);
	else if (found < 0)
		err = settings_error((int)-found, id->name, "see", "");
	if (file >= 0)
		close(file);
	for (unsigned i = 0; i < SETTINGS && !err; i++)
		err = change(napi, i, sysfs, id->name, wish[i]);
	close(sysfs);
	return err;
}

static int napi_new(const struct sxsk_priv_device_id *id, const uint32_t wish[SETTINGS],
		    struct sxsk_priv_napi **ret)
{
	struct sxsk_priv_napi *napi = calloc(1, sizeof(*napi));
	int err;

	if (!napi)
		return sxsk_priv_fail(ENOMEM, "no memory for %s's NAPI settings", id->name);
	for (unsigned i = 0; i < SETTINGS; i++)
		napi->setting[i].fd = -1;
	napi->ifindex = id->ifindex;
	napi->netns = id->netns;
	err = change_all(napi, id, wish);
	if (err) {
		put_back(napi);
		return err;
	}
	napi->next = sxsk_priv_registry.napi;
	sxsk_priv_registry.napi = napi;
	*ret = napi;
	return 0;
}

static int napi_join(const struct sxsk_priv_napi *napi, const struct sxsk_priv_device_id *id,
		     const uint32_t wish[SETTINGS])
{
	for (unsigned i = 0; i < SETTINGS; i++)
		if (wish[i] && wish[i] != napi->setting[i].now)
			return sxsk_priv_fail(
				EBUSY,
				"another socket of this process has %s's %s at %" PRId64
				", this one asks for %u: ask for the same, or for 0",
				id->name, settings[i].name, napi->setting[i].now, wish[i]);
	return 0;
}

static int napi_get(const struct sxsk_priv_device_id *id, const uint32_t wish[SETTINGS],
		    struct sxsk_priv_napi **ret)
{
	struct sxsk_priv_napi *napi = sxsk_priv_registry.napi;
	int err;

	while (napi && (napi->ifindex != id->ifindex || napi->netns != id->netns))
		napi = napi->next;
	err = napi ? napi_join(napi, id, wish) : napi_new(id, wish, &napi);
	if (err)
		return err;
	napi->sockets++;
	*ret = napi;
	return 0;
}

/* ---- both ------------------------------------------------------------------------------------------ */

int sxsk_priv_busy_poll_start(struct sxsk_priv_socket *s)
{
	const struct sxsk_socket_opts *o = s->opts;
	uint32_t wish[SETTINGS];
	int err;

	if (!(s->flags & SOCKET_BUSY_POLL))
		return 0;
	wish[0] = o->napi_defer_hard_irqs;
	wish[1] = o->gro_flush_timeout_ns;
	err = set(s, SO_PREFER_BUSY_POLL, 1);
	if (!err)
		err = set(s, SO_BUSY_POLL, o->busy_poll_us);
	if (!err)
		err = set(s, SO_BUSY_POLL_BUDGET, o->busy_poll_budget);
	if (err || s->flags & SXSK_SOCKET_KEEP_NAPI)
		return err;
	pthread_mutex_lock(&sxsk_priv_registry.lock);
	err = napi_get(&s->q->device, wish, &s->napi);
	pthread_mutex_unlock(&sxsk_priv_registry.lock);
	return err;
}

void sxsk_priv_busy_poll_stop(struct sxsk_priv_socket *s)
{
	struct sxsk_priv_napi **p = &sxsk_priv_registry.napi;

	if (!s->napi)
		return;
	pthread_mutex_lock(&sxsk_priv_registry.lock);
	if (--s->napi->sockets == 0) {
		while (*p != s->napi)
			p = &(*p)->next;
		*p = s->napi->next;
		put_back(s->napi);
	}
	s->napi = NULL;
	pthread_mutex_unlock(&sxsk_priv_registry.lock);
}
