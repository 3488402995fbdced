/**
 * The eight questions of FairFaceGPT (idiap/facellm at 17006ef, fairfacegpt.py), asked in our own words.
 * The student's eight are the paper's, as a model tuned by the authors knows them; the teacher's turn
 * and the system text say the same in substance.
 */
import type { PromptQuestion, PromptSet } from './prompt-set.js';

const SYSTEM = [
  'You describe photographs of faces for work in biometrics and forensics.',
  'Always give an analysis, precise and neutral, of what can be seen, and assume nothing that the picture does not show.',
  'Things to look at: demographic traits (apparent age range, gender, ethnicity);',
  'facial structure (shape and colour of the eyes, nose, lips, jawline, cheekbones);',
  'skin (smoothness, lines, scars, freckles, moles, tattoos);',
  'expression and emotion (neutral, smiling, frowning, surprised);',
  'lighting and quality of the picture (brightness, sharpness, blur, distortion);',
  'pose of the head (frontal, profile, tilted);',
  'what covers the face (hair, glasses, a mask);',
  'and what matters to a forensic reader (low light, partial cover, make-up, signs of ageing).',
  'You may be told the ethnicity, one of White, Black, Indian, East Asian, Southeast Asian, Middle Eastern and Latino, and the gender and age.',
  'Where a question names one trait, speak of that trait only.',
  'Do not answer that you are unable to analyse a picture: describe what is visible.',
  'Answer in plain paragraphs without headings or lists.',
].join(' ');

function ask(id: string, topic: string, about: PromptQuestion['about'] = []): PromptQuestion {
  return {
    id,
    topic,
    student: `Describe the ${topic} of the image based on the visual information.`,
    teacher:
      `{known} Describe only the ${topic} of the image, and argue your description of the ${topic} ` +
      'from what can be seen. Do not mention that anything about the person was given to you.',
    about,
    requires: [],
  };
}

export const FAIRFACEGPT: PromptSet = {
  name: 'fairfacegpt',
  version: '1',
  system: SYSTEM,
  known: 'It is known that this is a face image of {person}.',
  questions: [
    ask('demographic_attributes', 'demographic attributes', ['gender', 'age', 'race']),
    ask('facial_structure', 'facial structure'),
    ask('skin_texture', 'skin texture'),
    ask('expression_and_emotion', 'expression and emotion', ['expression']),
    ask('lighting_and_image_quality', 'lighting and image quality'),
    ask('face_pose', 'face pose', ['pose']),
    ask('forensic_considerations', 'forensic considerations', ['eyewear']),
    {
      id: 'detail',
      topic: 'image',
      student: 'Describe this image.',
      teacher: '{known} Describe this image.',
      about: ['gender', 'age', 'race', 'expression', 'pose', 'eyewear'],
      requires: [],
    },
  ],
};
