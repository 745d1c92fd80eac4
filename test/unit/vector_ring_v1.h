/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Test vector of ring version 1 (include/stek_seal.h): two keys, one tombstone.  All values in hex.
 * SECRET, RANDOM and the ring go in, SEALED comes out; the others are on the way.  What the ring
 * holds is stated in test_seal.c and in vector_check.py, which derives all of this by a second
 * implementation.  Test values: no secret here seals anything real.
 */
#ifndef VECTOR_RING_V1_H
#define VECTOR_RING_V1_H

#define VECTOR_SECRET "8bd8b07432e79a9a5f58998982c9c02b1ccc993795dfaeb5afa4126a60279e91"
#define VECTOR_RANDOM "759ba76637041541eaf7d4420bdbb640865bf972518a037d3107350b193f5684"
#define VECTOR_ID "70ee2ee9ca205041"
#define VECTOR_PLAIN                                                                               \
    "0002000133f5abc5503fae28126076a10ef0b26edf8ebccc74a3b7d741d4b152"                             \
    "1ea81b9a1dd21606ebaefbb7465ae55584824f0ee2922580033eedfa7994ecd2"                             \
    "989568ba4196231da6980b5af649c446ad2b1560000000000000000000000003"                             \
    "000000006955aaf5000000006955b900000000006955c710000000006956c430"                             \
    "b2042e83e13de6472d67863bf53f335498c69a61c10fcaffe959094566068daf"                             \
    "7b6f529fb23b9ad5bade3068028738c668b5ac677b631b1fa803252be8618f25"                             \
    "1f42be1e02309bfe42e39eb50a8bbe9e00000000000000000000000300000000"                             \
    "6955b905000000006955c710000000006955d520000000006956d2406c0881e1"                             \
    "72d3b0bc04641a24cc5724d6000000006956b620"
#define VECTOR_SALT_KEY "bd4584ea110bb26285959f0dd3c0944eb2e9580fb9b88cb3b910a7db7a56a5e2"
#define VECTOR_SALT "7b3493a644d2a5367c3f4d82bb7c448719ab9514ff27b994a2594b207ab70c1d"
#define VECTOR_KEY "9517e7c51caaef6f0c47bc442cc354aced603def0f2c2c195546d88ae77b4a41"
#define VECTOR_NONCE "38ce450d4126a4f4533c59c7"
#define VECTOR_SEALED                                                                              \
    "5354454b52494e470001000000000e100000fd20000000000000000300000000"                             \
    "00000029000000006955b90570ee2ee9ca2050417b3493a644d2a5367c3f4d82"                             \
    "bb7c448719ab9514ff27b994a2594b207ab70c1d0000012461d52eea479bd1ae"                             \
    "66c412698cec9b04adddc6c5fde7de61c47a135bd160bee811ab930d0ab256b4"                             \
    "fa3f7957f6a2ba1d8b7e65bd83ea50f3f33a0b48d10e41c294dce5634d0e4b03"                             \
    "e9c93894bcea27fe103fadcd55e7a3415416c9fd05c12afdfe87afeffb6807ed"                             \
    "4a71efc94397e392c8ab7e360325a2225ea29aa746d984001f24c7080cc22c12"                             \
    "3faa8b732625b01dbd8227896946495f951255b77f3aa7bef6a5c9707394bcb3"                             \
    "2ebfc12741c5689837caede2eea458f6b40e187bf7cf79a221340716cbc02685"                             \
    "38840f1598f53e604533e3cd86ab52311cbafcfe7ee5bf9816b16073f8b39d42"                             \
    "5607d9b73b3fbb8a2a76a621a72d64542a30abaa7acdbbfecef609215e4da608"                             \
    "b59c50ae67d57d039c26fd1202cab6e0276feec0e644ce38dc4c3121"

#endif
