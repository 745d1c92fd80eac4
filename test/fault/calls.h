/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls that are made to fail: all that the module imports and that can, those of
 * test/fault/infallible.txt excepted; check_calls.py compares.  One line a call:
 *
 *     CALL(returns, name, parameters, arguments, what it returns when it fails, how)
 *
 * "how" is a list of errno values; QUEUED: OpenSSL's way, with an error in its queue; CODE: what is
 * returned is the status itself, taken from the list.  Reads and writes fail by their list, and
 * once more by moving half of what was asked (SHORT).
 */
#define ERR_DISK ENOSPC, EIO, EINTR
#define ERR_OPEN EMFILE, ENOMEM, EIO, EINTR, ENOSPC
#define ERR_READ EIO, EINTR
#define ERR_LOOK EIO, ENOMEM
#define ERR_MEM ENOMEM
#define QUEUED (-1)

#ifdef CALLS_MEMORY
CALL(void *, malloc, (size_t len), (len), NULL, ERR_MEM)
CALL(void *, calloc, (size_t n, size_t len), (n, len), NULL, ERR_MEM)
#endif
CALL(char *, strdup, (const char *text), (text), NULL, ERR_MEM)
CALL(int, mlock, (const void *at, size_t len), (at, len), -1, ENOMEM, EPERM)
CALL(int, madvise, (void *at, size_t len, int advice), (at, len, advice), -1, EINVAL, ENOMEM)
CALL(int, getrlimit, (rlimit_what_t what, struct rlimit *limit), (what, limit), -1, EINVAL)

SHORT(ssize_t, read, (int fd, void *buf, size_t len), (fd, buf, len), (fd, buf, half(len)),
      ERR_READ)
SHORT(ssize_t, pread, (int fd, void *buf, size_t len, off_t at), (fd, buf, len, at),
      (fd, buf, half(len), at), ERR_READ)
SHORT(ssize_t, write, (int fd, const void *buf, size_t len), (fd, buf, len), (fd, buf, half(len)),
      ERR_DISK)
SHORT(ssize_t, pwrite, (int fd, const void *buf, size_t len, off_t at), (fd, buf, len, at),
      (fd, buf, half(len), at), ERR_DISK)
CALL(int, stat, (const char *path, struct stat *st), (path, st), -1, ERR_LOOK)
CALL(int, lstat, (const char *path, struct stat *st), (path, st), -1, ERR_LOOK)
CALL(FILE *, fdopen, (int fd, const char *mode), (fd, mode), NULL, ENOMEM)
CALL(int, getgroups, (int n, gid_t *groups), (n, groups), -1, EINVAL)
CALL(int, fstat, (int fd, struct stat *st), (fd, st), -1, ERR_LOOK)
CALL(int, fstatat, (int fd, const char *path, struct stat *st, int flags), (fd, path, st, flags),
     -1, ERR_LOOK)
CALL(int, statfs, (const char *path, struct statfs *fs), (path, fs), -1, ERR_LOOK)
CALL(ssize_t, readlink, (const char *path, char *buf, size_t len), (path, buf, len), -1, ERR_LOOK)
CALL(char *, getcwd, (char *buf, size_t len), (buf, len), NULL, ENOENT)
CALL(DIR *, opendir, (const char *path), (path), NULL, EMFILE, ENOMEM)
CALL(struct dirent *, readdir, (DIR * dir), (dir), NULL, EIO)
CALL(int, memfd_create, (const char *name, unsigned flags), (name, flags), -1, EMFILE, ENOMEM)
CALL(int, fallocate, (int fd, int mode, off_t at, off_t len), (fd, mode, at, len), -1, ERR_DISK)
CALL(int, ftruncate, (int fd, off_t len), (fd, len), -1, EIO, EINTR)
CALL(int, fsync, (int fd), (fd), -1, ERR_DISK)
CALL(int, fchmod, (int fd, mode_t mode), (fd, mode), -1, EIO, EPERM)
CALL(int, fchown, (int fd, uid_t uid, gid_t gid), (fd, uid, gid), -1, EIO, EPERM)
CALL(int, futimens, (int fd, const struct timespec times[2]), (fd, times), -1, EIO)
CALL(int, flock, (int fd, int op), (fd, op), -1, EINTR, ENOMEM)
CALL(int, link, (const char *from, const char *to), (from, to), -1, ERR_DISK)
CALL(int, rename, (const char *from, const char *to), (from, to), -1, ENOSPC, EIO)
CALL(int, renameat2, (int from_fd, const char *from, int to_fd, const char *to, unsigned flags),
     (from_fd, from, to_fd, to, flags), -1, ENOENT, EINVAL)
CALL(int, unlink, (const char *path), (path), -1, EIO)
CALL(int, unlinkat, (int fd, const char *path, int flags), (fd, path, flags), -1, EIO)
CALL(int, mkdir, (const char *path, mode_t mode), (path, mode), -1, ENOSPC, EIO)
CALL(int, pipe, (int fds[2]), (fds), -1, EMFILE)
CALL(int, poll, (struct pollfd * fds, nfds_t n, int wait_ms), (fds, n, wait_ms), -1, EINTR, ENOMEM)
CALL(int, gethostname, (char *name, size_t len), (name, len), -1, ENAMETOOLONG)
CALL(int, clock_gettime, (clockid_t clock, struct timespec *t), (clock, t), -1, EINVAL)
CALL(int, getgrouplist, (const char *user, gid_t gid, gid_t *groups, int *n),
     (user, gid, groups, n), -1, ENOMEM)

CODE(int, pthread_mutex_init, (pthread_mutex_t * mutex, const pthread_mutexattr_t *attr),
     (mutex, attr), ENOMEM)
CODE(int, pthread_rwlock_init, (pthread_rwlock_t * lock, const pthread_rwlockattr_t *attr),
     (lock, attr), ENOMEM)
CODE(int, pthread_rwlockattr_init, (pthread_rwlockattr_t * attr), (attr), ENOMEM)
CODE(int, pthread_rwlock_timedwrlock, (pthread_rwlock_t * lock, const struct timespec *until),
     (lock, until), ETIMEDOUT)
CODE(int, pthread_rwlock_trywrlock, (pthread_rwlock_t * lock), (lock), EBUSY)
CODE(apr_status_t, apr_pool_create_ex,
     (apr_pool_t * *pool, apr_pool_t *parent, apr_abortfunc_t abort_fn, apr_allocator_t *allocator),
     (pool, parent, abort_fn, allocator), APR_ENOMEM)
CODE(apr_status_t, apr_pool_create_unmanaged_ex,
     (apr_pool_t * *pool, apr_abortfunc_t abort_fn, apr_allocator_t *allocator),
     (pool, abort_fn, allocator), APR_ENOMEM)
CODE(apr_status_t, apr_allocator_create, (apr_allocator_t * *allocator), (allocator), APR_ENOMEM)
CODE(apr_status_t, apr_thread_create,
     (apr_thread_t * *thread, apr_threadattr_t *attr, apr_thread_start_t run, void *data,
      apr_pool_t *pool),
     (thread, attr, run, data, pool), EAGAIN)
CODE(apr_status_t, apr_stat,
     (apr_finfo_t * finfo, const char *path, apr_int32_t wanted, apr_pool_t *pool),
     (finfo, path, wanted, pool), ERR_LOOK)
CODE(apr_status_t, apr_dir_open, (apr_dir_t * *dir, const char *path, apr_pool_t *pool),
     (dir, path, pool), EMFILE, ENOMEM)
CODE(apr_status_t, apr_dir_read, (apr_finfo_t * finfo, apr_int32_t wanted, apr_dir_t *dir),
     (finfo, wanted, dir), EIO)
CODE(apr_status_t, apr_sockaddr_ip_get, (char **text, apr_sockaddr_t *addr), (text, addr),
     APR_EINVAL)

CALL(int, RAND_priv_bytes, (unsigned char *bytes, int len), (bytes, len), 0, QUEUED)
CALL(int, EVP_Digest,
     (const void *data, size_t len, unsigned char *md, unsigned int *md_len, const EVP_MD *type,
      ENGINE *engine),
     (data, len, md, md_len, type, engine), 0, QUEUED)
CALL(EVP_CIPHER *, EVP_CIPHER_fetch, (OSSL_LIB_CTX * libctx, const char *name, const char *props),
     (libctx, name, props), NULL, QUEUED)
CALL(EVP_CIPHER_CTX *, EVP_CIPHER_CTX_new, (void), (), NULL, QUEUED)
CALL(int, EVP_CIPHER_CTX_ctrl, (EVP_CIPHER_CTX * ctx, int type, int arg, void *ptr),
     (ctx, type, arg, ptr), 0, QUEUED)
CALL(int, EVP_CIPHER_CTX_set_padding, (EVP_CIPHER_CTX * ctx, int on), (ctx, on), 0, QUEUED)
CALL(int, EVP_CipherInit_ex,
     (EVP_CIPHER_CTX * ctx, const EVP_CIPHER *cipher, ENGINE *engine, const unsigned char *key,
      const unsigned char *iv, int enc),
     (ctx, cipher, engine, key, iv, enc), 0, QUEUED)
CALL(int, EVP_EncryptInit_ex,
     (EVP_CIPHER_CTX * ctx, const EVP_CIPHER *cipher, ENGINE *engine, const unsigned char *key,
      const unsigned char *iv),
     (ctx, cipher, engine, key, iv), 0, QUEUED)
CALL(int, EVP_EncryptInit_ex2,
     (EVP_CIPHER_CTX * ctx, const EVP_CIPHER *cipher, const unsigned char *key,
      const unsigned char *iv, const OSSL_PARAM params[]),
     (ctx, cipher, key, iv, params), 0, QUEUED)
CALL(int, EVP_EncryptUpdate,
     (EVP_CIPHER_CTX * ctx, unsigned char *out, int *out_len, const unsigned char *in, int len),
     (ctx, out, out_len, in, len), 0, QUEUED)
CALL(int, EVP_EncryptFinal_ex, (EVP_CIPHER_CTX * ctx, unsigned char *out, int *out_len),
     (ctx, out, out_len), 0, QUEUED)
CALL(int, EVP_DecryptInit_ex,
     (EVP_CIPHER_CTX * ctx, const EVP_CIPHER *cipher, ENGINE *engine, const unsigned char *key,
      const unsigned char *iv),
     (ctx, cipher, engine, key, iv), 0, QUEUED)
CALL(int, EVP_DecryptInit_ex2,
     (EVP_CIPHER_CTX * ctx, const EVP_CIPHER *cipher, const unsigned char *key,
      const unsigned char *iv, const OSSL_PARAM params[]),
     (ctx, cipher, key, iv, params), 0, QUEUED)
CALL(int, EVP_DecryptUpdate,
     (EVP_CIPHER_CTX * ctx, unsigned char *out, int *out_len, const unsigned char *in, int len),
     (ctx, out, out_len, in, len), 0, QUEUED)
CALL(int, EVP_DecryptFinal_ex, (EVP_CIPHER_CTX * ctx, unsigned char *out, int *out_len),
     (ctx, out, out_len), 0, QUEUED)
CALL(EVP_KDF *, EVP_KDF_fetch, (OSSL_LIB_CTX * libctx, const char *name, const char *props),
     (libctx, name, props), NULL, QUEUED)
CALL(EVP_KDF_CTX *, EVP_KDF_CTX_new, (EVP_KDF * kdf), (kdf), NULL, QUEUED)
CALL(int, EVP_KDF_derive,
     (EVP_KDF_CTX * ctx, unsigned char *out, size_t len, const OSSL_PARAM params[]),
     (ctx, out, len, params), 0, QUEUED)
CALL(EVP_MAC *, EVP_MAC_fetch, (OSSL_LIB_CTX * libctx, const char *name, const char *props),
     (libctx, name, props), NULL, QUEUED)
CALL(EVP_MAC_CTX *, EVP_MAC_CTX_new, (EVP_MAC * mac), (mac), NULL, QUEUED)
CALL(int, EVP_MAC_CTX_set_params, (EVP_MAC_CTX * ctx, const OSSL_PARAM params[]), (ctx, params), 0,
     QUEUED)
CALL(int, EVP_MAC_init,
     (EVP_MAC_CTX * ctx, const unsigned char *key, size_t len, const OSSL_PARAM params[]),
     (ctx, key, len, params), 0, QUEUED)
CALL(int, EVP_MAC_update, (EVP_MAC_CTX * ctx, const unsigned char *data, size_t len),
     (ctx, data, len), 0, QUEUED)
CALL(int, EVP_MAC_final, (EVP_MAC_CTX * ctx, unsigned char *out, size_t *out_len, size_t size),
     (ctx, out, out_len, size), 0, QUEUED)
CALL(unsigned char *, HMAC,
     (const EVP_MD *type, const void *key, int key_len, const unsigned char *data, size_t len,
      unsigned char *md, unsigned int *md_len),
     (type, key, key_len, data, len, md, md_len), NULL, QUEUED)
CALL(int, CRYPTO_get_ex_new_index,
     (int class_index, long argl, void *argp, CRYPTO_EX_new *new_func, CRYPTO_EX_dup *dup_func,
      CRYPTO_EX_free *free_func),
     (class_index, argl, argp, new_func, dup_func, free_func), -1, QUEUED)
CALL(SSL *, SSL_new, (SSL_CTX * ctx), (ctx), NULL, QUEUED)
CALL(long, SSL_ctrl, (SSL * ssl, int command, long arg, void *ptr), (ssl, command, arg, ptr), 0,
     QUEUED)
CALL(int, SSL_set_ssl_method, (SSL * ssl, const SSL_METHOD *method), (ssl, method), 0, QUEUED)
CALL(int, SSL_set_cipher_list, (SSL * ssl, const char *list), (ssl, list), 0, QUEUED)
CALL(BIO *, BIO_new, (const BIO_METHOD *method), (method), NULL, QUEUED)
CALL(int, X509_up_ref, (X509 * cert), (cert), 0, QUEUED)
CALL(int, X509_CRL_up_ref, (X509_CRL * crl), (crl), 0, QUEUED)
CALL(unsigned long, X509_NAME_hash_ex,
     (const X509_NAME *name, OSSL_LIB_CTX *libctx, const char *props, int *ok),
     (name, libctx, props, ok), 0, QUEUED)
CALL(int, SSL_CTX_set_ex_data, (SSL_CTX * ctx, int index, void *data), (ctx, index, data), 0,
     QUEUED)
CALL(long, SSL_CTX_ctrl, (SSL_CTX * ctx, int command, long arg, void *ptr),
     (ctx, command, arg, ptr), 0, QUEUED)
CALL(int, SSL_CTX_set_tlsext_ticket_key_evp_cb, (SSL_CTX * ctx, ticket_key_cb_t *cb), (ctx, cb), 0,
     QUEUED)
CALL(int, SSL_CTX_set_session_ticket_cb,
     (SSL_CTX * ctx, SSL_CTX_generate_session_ticket_fn generate,
      SSL_CTX_decrypt_session_ticket_fn decrypt, void *arg),
     (ctx, generate, decrypt, arg), 0, QUEUED)
CALL(int, SSL_CTX_add_custom_ext,
     (SSL_CTX * ctx, unsigned type, unsigned context, SSL_custom_ext_add_cb_ex add,
      SSL_custom_ext_free_cb_ex free_added, void *add_arg, SSL_custom_ext_parse_cb_ex parse,
      void *parse_arg),
     (ctx, type, context, add, free_added, add_arg, parse, parse_arg), 0, QUEUED)
CALL(int, SSL_SESSION_set1_ticket_appdata, (SSL_SESSION * session, const void *data, size_t len),
     (session, data, len), 0, QUEUED)
CALL(int, SSL_SESSION_get0_ticket_appdata, (SSL_SESSION * session, void **data, size_t *len),
     (session, data, len), 0, QUEUED)
CALL(int, SSL_client_hello_get0_ext,
     (SSL * ssl, unsigned type, const unsigned char **out, size_t *len), (ssl, type, out, len), 0,
     QUEUED)
CALL(int, ASN1_TIME_cmp_time_t, (const ASN1_TIME *asn1, time_t t), (asn1, t), -2, QUEUED)
CALL(int, i2d_X509, (const X509 *cert, unsigned char **der), (cert, der), -1, QUEUED)
CALL(int, i2d_X509_AUX, (const X509 *cert, unsigned char **der), (cert, der), -1, QUEUED)
CALL(int, i2d_X509_CRL, (const X509_CRL *crl, unsigned char **der), (crl, der), -1, QUEUED)
CALL(int, i2d_X509_EXTENSION, (const X509_EXTENSION *extension, unsigned char **der),
     (extension, der), -1, QUEUED)
CALL(int, X509_CRL_verify, (X509_CRL * crl, EVP_PKEY *key), (crl, key), -1, QUEUED)
CALL(void *, X509_REVOKED_get_ext_d2i, (const X509_REVOKED *entry, int nid, int *found, int *at),
     (entry, nid, found, at), NULL, QUEUED)
CALL(void *, X509_CRL_get_ext_d2i, (const X509_CRL *crl, int nid, int *found, int *at),
     (crl, nid, found, at), NULL, QUEUED)
CALL(int, ASN1_TIME_compare, (const ASN1_TIME *a, const ASN1_TIME *b), (a, b), -2, QUEUED)
CALL(int, X509_NAME_digest,
     (const X509_NAME *name, const EVP_MD *type, unsigned char *md, unsigned int *md_len),
     (name, type, md, md_len), 0, QUEUED)
CALL(BIO *, BIO_new_fp, (FILE * file, int close), (file, close), NULL, ENOMEM)
CALL(int, OSSL_PROVIDER_do_all, (OSSL_LIB_CTX * ctx, provider_each_t *each, void *data),
     (ctx, each, data), 0, QUEUED)
CALL(info_stack_t *, PEM_X509_INFO_read_bio,
     (BIO * bio, info_stack_t *infos, pem_password_cb *ask, void *data), (bio, infos, ask, data),
     NULL, QUEUED)
CALL(X509 *, PEM_read_bio_X509_AUX, (BIO * bio, X509 **cert, pem_password_cb *ask, void *data),
     (bio, cert, ask, data), NULL, QUEUED)
CALL(X509_CRL *, PEM_read_bio_X509_CRL,
     (BIO * bio, X509_CRL **crl, pem_password_cb *ask, void *data), (bio, crl, ask, data), NULL,
     QUEUED)
CALL(int, BIO_read, (BIO * bio, void *data, int len), (bio, data, len), -1, QUEUED)

/* Written out where they are made to fail: of two the arguments vary, of one blocks are counted. */
VARIES(open, ERR_OPEN)
VARIES(openat, ERR_OPEN)
VARIES(fcntl, EMFILE)
VARIES(mmap, ERR_MEM)
/* It has happened, and the descriptor is closed: a failure is told all the same. */
VARIES(close, ERR_DISK)
