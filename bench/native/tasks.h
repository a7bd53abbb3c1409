// What all tasks share: their parameters, and what they count.
#pragma once
#include "program.h"

static u32 batch, size, sum, seq;
static u64 sent, received;
static int receivers = 1; // VALE: ports that frames go to

static u32 digest_word(u32 word, u32 hash) { return (hash ^ word) * FNV_PRIME; }
