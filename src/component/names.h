// SPDX-License-Identifier: Apache-2.0
// Names of imports, exports and labels (Explainer.md, "Import and Export Definitions" and "Name
// Uniqueness"). Private to the room.
#ifndef COMPONENT_NAMES_H
#define COMPONENT_NAMES_H

#include "base/bytes.h"

enum name_kind { NAME_PLAIN, NAME_CONSTRUCTOR, NAME_METHOD, NAME_STATIC, NAME_INTERFACE };

struct extern_name {
    enum name_kind kind;
    struct slice resource;  // of constructor, method and static: the resource's label
};

// Words of letters and digits in one case each, joined by hyphens; the first begins with a letter.
bool name_is_label(struct slice label);
// Takes a name apart. False, with the reason in *why, when it follows no form of the grammar.
bool name_parse(struct slice name, struct extern_name *out, const char **why);
// Appends what must be unique in a scope: two names are too much alike when this is equal.
void name_key(struct slice name, struct buf *out);

#endif
