// SPDX-License-Identifier: Apache-2.0
// What a component looks like from outside, as WIT text: its world, and every interface that this
// names, with the names of all types. Also of components that this release cannot run.
//
// component_load keeps what it takes to run a component, and equal types are one object there,
// whatever they were called. Who wants to read the world wants the names, so world_read.c reads the
// declarations again, keeping every name, and world_print.c writes them down.
#ifndef COMPONENT_WORLD_H
#define COMPONENT_WORLD_H

#include "base/bytes.h"
#include "base/status.h"

// Appends the world of the component in `bytes` as the world "root" of a package "root:component",
// followed by the packages of the interfaces that it imports and exports. Reads only what it needs:
// component_load is what says whether the component is valid. Bounded in time and memory; ERR_LIMIT
// when the text would pass 16 MiB. Errors name the byte offset, as those of component_load.
enum status world_print(struct slice bytes, struct buf *out, struct error *error) MUST_CHECK;

#endif
