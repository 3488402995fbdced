/**
 * What may be said of a face: FairFace's three attributes with the strings of its CSV files
 * (joojs/fairface, fairface_label_train.csv and _val.csv), and three more that other labelled folders
 * have.
 */

export type Attribute = 'gender' | 'age' | 'race' | 'expression' | 'pose' | 'eyewear';

export const VOCABULARY: { readonly [attribute in Attribute]: readonly string[] } = {
  gender: ['Male', 'Female'],
  age: [
    ...['0-2', '3-9', '10-19', '20-29', '30-39'],
    ...['40-49', '50-59', '60-69', 'more than 70'],
  ],
  race: [
    ...['White', 'Black', 'Latino_Hispanic', 'East Asian'],
    ...['Southeast Asian', 'Indian', 'Middle Eastern'],
  ],
  expression: ['neutral', 'smiling', 'happy', 'sad', 'angry', 'surprised', 'fearful', 'disgusted'],
  pose: ['frontal', 'left', 'right', 'up', 'down'],
  eyewear: ['none', 'eyeglasses', 'sunglasses'],
};

export const ATTRIBUTES: readonly Attribute[] = Object.keys(VOCABULARY) as Attribute[];

/** The attributes of FairFace as published. */
export const FAIRFACE_ATTRIBUTES: readonly Attribute[] = ['age', 'gender', 'race'];

/** What is known of one face; absent means not known, never "none". */
export type FaceLabels = { readonly [attribute in Attribute]?: string };
