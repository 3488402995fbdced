/**
 * What is asked of the teacher and what the student is told it was asked. Labels reach the teacher only.
 */
import type { Attribute } from '../labels/vocabulary.js';

export interface PromptQuestion {
  /** Names the question in records and files: lower-case letters, digits and underscores. */
  readonly id: string;
  /** What the question is about, in words. */
  readonly topic: string;
  /** What the student is asked; holds no label. */
  readonly student: string;
  /** What the teacher is asked; `{known}` stands for the sentence of labels. */
  readonly teacher: string;
  /** Labels that an answer may speak of. */
  readonly about: readonly Attribute[];
  /** Labels without which the question is not asked of a picture. */
  readonly requires: readonly Attribute[];
  /**
   * Makes the question a closed one: label of the one required attribute to the exact text that answers it. A
   * picture with another label is not asked about, and an answer in other words is not used.
   */
  readonly answers?: Readonly<Record<string, string>> | undefined;
}

export interface PromptSet {
  readonly name: string;
  readonly version: string;
  /** The teacher's system turn. */
  readonly system: string;
  /** Sentence of what is known of a face; `{person}` stands for the person in words. */
  readonly known: string;
  readonly questions: readonly PromptQuestion[];
}
