// How a face is brought to the place where FairFace's chips have it. Torch-free.
#pragma once

#include "faces/face.h"

namespace facellm {

// The least-squares similarity from the eyes and the mouth to the template, with `margin` added on each side of a
// template of side 1. Points that give none (eyes in one place): the box.
// `align` false: the same square, not turned.
Similarity align_face(const Detection& face, double margin, bool align = true);

// Where a chip of no margin lies for a box: what align_face() falls back to.
Similarity align_box(const Detection& face, double margin);

// Of the nose from the middle of the eyes along their line, in distances of the eyes, positive towards the person's
// left; 0 where the eyes are in one place.
double nose_offset(const Detection& face);

}  // namespace facellm
